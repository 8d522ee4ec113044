"""A real Prometheus beside a world: it scrapes, its alerts fire, and nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.core_cases import planned
from tests.support.metrics_cases import series
from tests.support.sandbox import Sandbox, differences, eventually, snapshot
from twinstack.linux import child, procfs
from twinstack.observe.live.model import HAVE_METRICS
from twinstack.observe.metrics.families import OWN, RELAYED

pytestmark = pytest.mark.e2e

PROMETHEUS, METRICS = "http://127.0.0.1:9090", "http://127.0.0.1:7701/metrics"


@pytest.fixture(scope="module")
def measured(flat: Sandbox) -> Iterator[Sandbox]:
    """Give a world with a Prometheus beside it; at the end nothing of that is left."""
    before = snapshot(flat)
    flat.invoke("metrics.up", "--interval", "1")
    yield flat
    removed = flat.invoke("metrics.down").stdout
    assert "removed process exporter\nremoved process prometheus\nremoved data" in removed
    assert differences(before, snapshot(flat)) == []
    assert flat.invoke("metrics.status", check=False).returncode == 2


def query(host: Sandbox, expression: str) -> dict[str, float]:
    """Ask Prometheus: the value of each series now, by its replica, else its world, else ""."""
    answer = json.loads(host.fetch(f"{PROMETHEUS}/api/v1/query?query={quote(expression)}"))
    assert answer["status"] == "success", answer
    return {
        row["metric"].get("replica", row["metric"].get("world", "")): float(row["value"][1])
        for row in answer["data"]["result"]
    }


def firing(host: Sandbox) -> set[tuple[str, str]]:
    """Name the alerts that fire, and of which replica."""
    answer = json.loads(host.fetch(f"{PROMETHEUS}/api/v1/alerts"))
    alerts = (alert for alert in answer["data"]["alerts"] if alert["state"] == "firing")
    return {(each["labels"]["alertname"], each["labels"].get("replica", "")) for each in alerts}


def own_pids(host: Sandbox) -> dict[str, tuple[int, ...]]:
    """Give the processes in each cgroup of ours beside the worlds."""
    groups = Path("/sys/fs/cgroup").glob(f"pids/twinstack/{host.instance}.metrics/*/cgroup.procs")
    unified = Path("/sys/fs/cgroup").glob(f"twinstack/{host.instance}.metrics/*/cgroup.procs")
    return {
        file.parent.name: tuple(map(int, file.read_text().split())) for file in (*groups, *unified)
    }


def pid_of(host: Sandbox, name: str) -> int:
    return int(host.status()[name]["pid"])


def test_prometheus_scrapes_every_replica_and_an_alert_fires_for_a_killed_and_a_frozen_one(
    measured: Sandbox,
) -> None:
    eventually(lambda: len(query(measured, "twinstack_replica_up == 1")) == 9, within_s=20)
    assert query(measured, "twinstack_world_up") == {"net": 1, "docker": 0}
    os.kill(pid_of(measured, "product-service-2"), signal.SIGKILL)
    frozen = pid_of(measured, "redis-cache")
    os.kill(frozen, signal.SIGSTOP)
    try:
        expected = {("ReplicaRestarted", "product-service-2"), ("ReplicaDown", "redis-cache")}
        eventually(lambda: expected <= firing(measured), within_s=30)
        done = measured.invoke("metrics.status")
        assert "redis-cache (net) is down" in done.stdout
        assert "invoke net.logs redis-cache" in done.stdout
    finally:
        os.kill(frozen, signal.SIGCONT)
    eventually(lambda: ("ReplicaDown", "redis-cache") not in firing(measured), within_s=30)


def test_every_family_is_really_scraped_and_promtool_has_nothing_to_say(measured: Sandbox) -> None:
    text = measured.fetch(METRICS)
    (measured_text := Path(f"/tmp/{measured.instance}.txt")).write_text(text)
    try:
        measured.run("sh", "-c", f"promtool check metrics < {measured_text}")
    finally:
        measured_text.unlink()
    there = {name for name, _ in series(text)}
    declared = {name for family in (*OWN, *RELAYED) for name in family.series}
    assert declared == there
    scraped = json.loads(measured.fetch(f"{PROMETHEUS}/api/v1/label/__name__/values"))["data"]
    assert declared <= set(scraped)


def test_all_that_a_service_says_of_itself_is_relayed(measured: Sandbox) -> None:
    declared = {name for family in RELAYED for name in family.series}
    said: set[str] = set()
    for replica in planned().replicas:
        if replica.runtime in HAVE_METRICS:
            url = f"http://127.0.0.1:{replica.port}/metrics"
            words = ("net.exec", replica.name, "--", "curl", "-sS", "--max-time", "5", url)
            said |= {name for name, _ in series(measured.invoke(*words).stdout)}
    assert {name for name in said if not name.endswith("_created")} - {"python_info"} == declared


def test_another_up_finds_nothing_to_do(measured: Sandbox) -> None:
    before = own_pids(measured)
    done = measured.invoke("metrics.up", "--json")
    assert done.stderr == ""
    assert [part["state"] for part in json.loads(done.stdout)["parts"]] == ["up", "up"]
    after = own_pids(measured)
    assert after["prometheus"] == before["prometheus"]
    assert after["exporter"][:2] == before["exporter"][:2]


def test_what_dies_is_started_again_and_what_nothing_keeps_running_is_reported(
    measured: Sandbox,
) -> None:
    shell, prometheus = own_pids(measured)["prometheus"]
    assert procfs.read_status(prometheus)["Uid"].split() == ["30900"] * 4
    assert int(procfs.read_status(prometheus)["CapBnd"], 16) == 0
    os.kill(prometheus, signal.SIGKILL)
    eventually(lambda: own_pids(measured)["prometheus"][1:] not in {(), (prometheus,)}, within_s=10)
    eventually(lambda: measured.invoke("metrics.status", check=False).returncode == 0, within_s=20)
    os.kill(shell, signal.SIGKILL)
    eventually(lambda: shell not in own_pids(measured)["prometheus"], within_s=5)
    done = measured.invoke("metrics.status", check=False)
    assert done.returncode == 1
    assert "nothing keeps it running" in done.stdout
    assert "prometheus: ends, to start as asked" in measured.invoke("metrics.up").stderr


def test_slow_clients_and_strangers_take_nothing_from_prometheus(measured: Sandbox) -> None:
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    assert measured.fetch(METRICS, *code, "-H", "Host: rebound.example") == "421"
    namespace = Path(f"/proc/{measured.host}/ns/net")
    with ExitStack() as open_ones:
        for _ in range(20):
            slow = open_ones.enter_context(child.socket_in(namespace))
            slow.connect(("127.0.0.1", 7701))
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        words = " ".join(f"{METRICS}?{number}" for number in range(100))
        fetched = measured.run("sh", "-c", f"curl -sS --max-time 20 {words} | grep -c world_info")
        assert int(fetched.stdout) >= 100
        eventually(
            lambda: query(measured, 'min_over_time(up{job="twinstack"}[5s])') == {"": 1},
            within_s=15,
        )
    listening = measured.run("ss", "-Hltn", "sport = :9090 or sport = :7701").stdout.split("\n")
    assert {line.split()[3] for line in listening if line} == {"127.0.0.1:9090", "127.0.0.1:7701"}
