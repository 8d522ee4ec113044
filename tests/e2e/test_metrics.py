"""A real Prometheus beside a world: it scrapes, its alerts fire, and nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.core_cases import planned
from tests.support.metrics_cases import series
from tests.support.prometheus import METRICS, PROMETHEUS, firing, own_pids, query
from tests.support.sandbox import Sandbox, differences, eventually, snapshot
from twinstack.linux import child, procfs
from twinstack.observe.live.model import HAVE_METRICS
from twinstack.observe.metrics.families import OWN, RELAYED

pytestmark = pytest.mark.e2e

DOWN = ("ReplicaDown", "net", "redis-cache")


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


def pid_of(host: Sandbox, name: str) -> int:
    return int(host.status()[name]["pid"])


def test_prometheus_scrapes_every_replica_and_an_alert_fires_for_a_killed_and_a_frozen_one(
    measured: Sandbox,
) -> None:
    eventually(lambda: len(query(measured, "twinstack_replica_up == 1")) == 9, within_s=20)
    assert query(measured, "twinstack_world_up") == {("net", ""): 1, ("docker", ""): 0}
    os.kill(pid_of(measured, "product-service-2"), signal.SIGKILL)
    frozen = pid_of(measured, "redis-cache")
    os.kill(frozen, signal.SIGSTOP)
    try:
        expected = {("ReplicaRestarted", "net", "product-service-2"), DOWN}
        eventually(lambda: expected <= firing(measured), within_s=30)
        done = measured.invoke("metrics.status")
        assert "redis-cache (net) is down" in done.stdout
        assert "invoke net.logs redis-cache" in done.stdout
    finally:
        os.kill(frozen, signal.SIGCONT)
    eventually(lambda: DOWN not in firing(measured), within_s=30)


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


def test_prometheus_has_no_privileges(measured: Sandbox) -> None:
    _, prometheus = own_pids(measured)["prometheus"]
    assert procfs.read_status(prometheus)["Uid"].split() == ["30900"] * 4
    assert int(procfs.read_status(prometheus)["CapBnd"], 16) == 0


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
            lambda: query(measured, 'min_over_time(up{job="twinstack"}[5s])') == {("", ""): 1},
            within_s=15,
        )
    listening = measured.run("ss", "-Hltn", "sport = :9090 or sport = :7701").stdout.split("\n")
    assert {line.split()[3] for line in listening if line} == {"127.0.0.1:9090", "127.0.0.1:7701"}
