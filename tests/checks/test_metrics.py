"""A real Prometheus beside both worlds: it follows what comes, goes, dies, hangs and fills up.

With `--pictures FOLDER` its page of alerts is kept.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import browser as b
from tests.support.project import ROOT
from tests.support.prometheus import METRICS, PROMETHEUS, firing, own_pids, query
from tests.support.sandbox import INVOKE, Sandbox, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@pytest.fixture(scope="module")
def measured(flat: Sandbox) -> Iterator[Sandbox]:
    flat.invoke("metrics.up", "--interval", "1")
    yield flat
    flat.invoke("metrics.down")


def pid_of(host: Sandbox, world: str, name: str) -> int:
    document = json.loads(host.invoke(f"{world}.status", "--json", check=False).stdout)
    return next(int(each["pid"]) for each in document["services"] if each["name"] == name)


def kill_and_freeze(host: Sandbox, world: str) -> None:
    """Kill a replica and freeze another, until the alerts of both fire."""
    os.kill(pid_of(host, world, "product-service-2"), signal.SIGKILL)
    frozen = pid_of(host, world, "redis-cache")
    os.kill(frozen, signal.SIGSTOP)
    expected = {
        ("ReplicaRestarted", world, "product-service-2"),
        ("ReplicaDown", world, "redis-cache"),
    }
    try:
        eventually(lambda: expected <= firing(host), within_s=60)
        down = {alert for alert in firing(host) if alert[0] == "ReplicaDown"}
        assert {each for _, each, _ in down} == {world}  # the other's restart is a minute's alert
    finally:
        os.kill(frozen, signal.SIGCONT)
    eventually(lambda: ("ReplicaDown", world, "redis-cache") not in firing(host), within_s=30)


def test_a_replica_that_is_scaled_away_disappears_with_all_its_series(measured: Sandbox) -> None:
    third = '{replica="product-service-3"}'
    eventually(lambda: len(query(measured, f"twinstack_replica_up{third}")) == 1, within_s=20)
    measured.invoke("net.scale", "product-service=2")
    try:
        names = 'count by (__name__) ({replica="product-service-3"})'
        eventually(lambda: query(measured, names) == {}, within_s=20)
    finally:
        measured.invoke("net.scale", "product-service=3")
    eventually(lambda: query(measured, f"twinstack_replica_up{third}") != {}, within_s=20)


def test_fifty_scrapes_a_second_get_an_answer_each(
    measured: Sandbox, tell: Callable[[str], None]
) -> None:
    group = f"twinstack/{measured.instance}.metrics/exporter"
    files = [f"/sys/fs/cgroup/cpuacct/{group}/cpuacct.usage", f"/sys/fs/cgroup/{group}/cpu.stat"]
    script = f"cat {' '.join(files)} 2>/dev/null | head -1 | tr -dc 0-9"
    before = int(measured.run("sh", "-c", script).stdout)
    done = measured.run(
        *("ab", "-q", "-n", "500", "-c", "10", "-l", METRICS), check=False, timeout_s=60
    )
    assert "Complete requests:      500" in done.stdout, done.stdout + done.stderr
    assert "Non-2xx" not in done.stdout
    used = int(measured.run("sh", "-c", script).stdout) - before
    rate = next(line for line in done.stdout.splitlines() if "per second" in line)
    tell(f"500 scrapes: {used / 1e9:.2f} s of CPU; {rate}")
    assert query(measured, 'up{job="twinstack"}') == {("", ""): 1}


def test_what_dies_is_started_again_and_what_nothing_keeps_running_is_reported(
    measured: Sandbox,
) -> None:
    shell, prometheus = own_pids(measured)["prometheus"]
    os.kill(prometheus, signal.SIGKILL)
    eventually(lambda: own_pids(measured)["prometheus"][1:] not in {(), (prometheus,)}, within_s=10)
    eventually(lambda: measured.invoke("metrics.status", check=False).returncode == 0, within_s=20)
    os.kill(shell, signal.SIGKILL)
    eventually(lambda: shell not in own_pids(measured)["prometheus"], within_s=5)
    done = measured.invoke("metrics.status", check=False)
    assert done.returncode == 1
    assert "nothing keeps it running" in done.stdout
    assert "prometheus: ends, to start as asked" in measured.invoke("metrics.up").stderr


def test_a_full_disk_is_reported_and_harms_nobody(measured: Sandbox) -> None:
    measured.invoke("metrics.down")
    data = f"/var/lib/twinstack/{measured.instance}/metrics/data"
    measured.run("mkdir", "-p", data)
    measured.run("mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "tmpfs", data)
    try:
        measured.invoke("metrics.up", "--interval", "1")
        measured.run("dd", "if=/dev/zero", f"of={data}/fill", "bs=64k", check=False)

        def reported() -> bool:
            done = measured.invoke("metrics.status", check=False)
            return done.returncode == 1 and "no space left" in done.stdout

        eventually(reported, within_s=60)
        assert measured.invoke("net.status", check=False).returncode == 0
        measured.run("rm", f"{data}/fill")
        eventually(
            lambda: measured.invoke("metrics.status", check=False).returncode == 0, within_s=60
        )
    finally:
        measured.invoke("metrics.down", check=False)
        measured.run("umount", "--lazy", data)
    measured.invoke("metrics.down")
    measured.invoke("metrics.up", "--interval", "1")


def test_another_instance_has_its_own_and_takes_nothing_from_this_one(measured: Sandbox) -> None:
    other = Sandbox(measured.host, measured.internet, f"{measured.instance}x")
    refused = other.invoke("metrics.up", check=False)
    assert refused.returncode == 1
    assert "Address already in use" in refused.stderr
    ports = ("--port", "9191", "--metrics-port", "7702")
    other.invoke("metrics.up", "--interval", "1", *ports)
    try:
        assert query(other, "twinstack_world_up", port=9191) == {("net", ""): 0, ("docker", ""): 0}
        done = measured.invoke("metrics.status", "--json")
        assert [part["state"] for part in json.loads(done.stdout)["parts"]] == ["up", "up"]
    finally:
        other.invoke("metrics.down")
    assert query(measured, 'twinstack_world_up{world="net"}') == {("net", ""): 1}


def test_ctrl_c_at_any_moment_leaves_what_down_removes(measured: Sandbox) -> None:
    measured.invoke("metrics.down")
    for wait_s in (0.3, 0.6, 0.9, 1.2, 1.6, 2.0, 2.5, 3.0):
        up = measured.start(INVOKE, "metrics.up", stdout=-3, stderr=-3, start_new_session=True)
        measured.run("sleep", str(wait_s))
        os.killpg(up.pid, signal.SIGINT)
        assert up.wait(timeout=30) in {0, 130, -2, 1}
        measured.invoke("metrics.down")
        left = measured.run(
            "sh",
            "-c",
            f"find /sys/fs/cgroup /var/lib/twinstack /run/twinstack"
            f" -path '*{measured.instance}*metrics*'",
        ).stdout
        assert left == "", wait_s
        assert measured.run("ss", "-Hltn", "sport = :9090 or sport = :7701").stdout == ""
    measured.invoke("metrics.up", "--interval", "1")


def test_the_alerts_of_a_killed_and_a_frozen_replica_on_prometheus_page(
    measured: Sandbox, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.config.getoption("--pictures")
    os.kill(pid_of(measured, "net", "product-service-2"), signal.SIGKILL)
    frozen = pid_of(measured, "net", "redis-cache")
    os.kill(frozen, signal.SIGSTOP)
    try:
        eventually(lambda: ("ReplicaDown", "net", "redis-cache") in firing(measured), within_s=60)
        with b.chromium(measured, tmp_path) as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 1600})
            page.goto(f"{PROMETHEUS}/classic/alerts")
            page.wait_for_selector("text=ReplicaDown")
            page.click("button.show-annotations")
            for alert in ("ReplicaDown", "ReplicaRestarted"):
                page.click(f"text={alert}")
            page.wait_for_selector("text=invoke net.logs redis-cache")
            if folder:
                page.wait_for_timeout(500)  # the rows unfold
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(path=str(ROOT / folder / "metrics-alerts.png"))
    finally:
        os.kill(frozen, signal.SIGCONT)


@pytest.mark.docker
def test_a_world_that_comes_later_is_scraped_and_its_alerts_are_its_own(measured: Sandbox) -> None:
    assert query(measured, "twinstack_world_up") == {("net", ""): 1, ("docker", ""): 0}
    measured.invoke("docker.up", "--timeout", "180", timeout_s=900)
    up = "sum by (world) (twinstack_replica_up)"
    eventually(lambda: query(measured, up) == {("net", ""): 9, ("docker", ""): 9}, within_s=30)
    for world in ("docker", "net"):
        kill_and_freeze(measured, world)
    relayed = "count by (world) (twinstack_replica_metrics_up == 1)"
    eventually(lambda: query(measured, relayed) == {("net", ""): 6, ("docker", ""): 6}, within_s=30)
    measured.invoke("docker.down", timeout_s=300)
    assert query(measured, 'twinstack_world_up{world="net"}') == {("net", ""): 1}
    eventually(lambda: ("WorldDown", "docker", "") in firing(measured), within_s=30)
    # ALERTS, Prometheus' own series, keeps the killed replica's restart for a minute.
    ours = '{__name__=~"twinstack_.+",world="docker",replica!=""}'
    assert query(measured, f"count by (__name__) ({ours})") == {}
