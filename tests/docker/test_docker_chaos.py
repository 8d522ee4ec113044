"""Faults in a running Docker world: put, judged, and put back, also by the next `up` or `down`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.docker_world import UP_TIMEOUT_S, containers, until
from tests.support.own_engine import INSTANCE, in_namespace, print_nothing
from twinstack.chaos import run
from twinstack.compose.world import DockerWorld
from twinstack.faults import record
from twinstack.faults.hold import holding
from twinstack.linux import child, procfs
from twinstack.linux.process import run as shell

pytestmark = pytest.mark.docker

EACH = (
    "kill:redis-cache",
    "sigstop:service-registry",
    "stop:product-service-3",
    "link-down:order-service",
    "partition:backend/database",
    "loss:product-service",
    "rate:product-service-2",
    "delay:product-service",
    "flush:redis-cache",
    "disk-full:postgres-db",
)


def rules() -> str:
    return in_namespace("iptables-save", "-t", "filter")


def qdiscs() -> str:
    return in_namespace("tc", "qdisc", "show")


def is_healthy(world: DockerWorld) -> bool:
    return all(state.state == "healthy" for state in world.status())


@contextmanager
def killed(world: DockerWorld, fault: str, target: str) -> Iterator[None]:
    """Put a fault in a child; when the block ends the child is killed with it in place."""
    kept: list[object] = []

    def work() -> None:
        held = holding(world)
        kept.append(held)
        held.__enter__().put(fault, target)

    chaos = child.start("chaos", None, work, signal.pause)
    try:
        chaos.answer()
        yield
    finally:
        chaos.end()


def ports() -> int:
    return len(in_namespace("bridge", "link", "show").splitlines())


def test_a_killed_engine_is_started_again_with_everything_that_it_ran(up: DockerWorld) -> None:
    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    before = ports()
    namespace = f"/proc/{up.main_pids()['order-service']}/ns/net"
    with holding(up) as held, open(namespace):  # as a connection keeps it
        held.take_away(held.put("engine", "engine"))
        until(lambda: is_healthy(up), 60)
        assert ports() == before


def test_each_fault_strikes_is_judged_and_leaves_nothing(
    up: DockerWorld, tell: Callable[[str], None]
) -> None:
    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    before = rules()
    report = run.run(
        up,
        ",".join(EACH),
        seed=3,
        count=None,
        minutes=None,
        longest_s=3,
        progress=print_nothing,
    )
    for each in report.strikes:
        tell(f"{each.fault}:{each.target}: {each.reads_failed}/{each.reads} {each.broken}")
    struck = {each.fault: each for each in report.strikes}
    assert len(struck) == len(EACH)
    # A read in an open connection waits until packets pass again; one that opens another fails.
    partition = struck["partition"]
    assert partition.reads_failed > 0 or partition.slowest_s > partition.seconds / 2, partition
    assert struck["kill"].reads_failed == 0
    assert struck["delay"].slowest_s > 0.1
    assert report.orders.acknowledged > 20
    assert report.orders.held, report.orders
    until(lambda: is_healthy(up), 20)
    assert without_counts(rules()) == without_counts(before)
    assert "7e57:" not in qdiscs()
    assert record.left(INSTANCE, "docker") == ()


def without_counts(text: str) -> list[str]:
    return [line.split(" [")[0] for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("fault", "target"),
    [
        ("sigstop", "product-service-2"),
        ("stop", "service-registry"),
        ("link-down", "order-service"),
        ("partition", "frontend/backend"),
        ("rate", "redis-cache"),
        ("delay", "redis-cache"),
        ("disk-full", "postgres-db"),
    ],
)
def test_what_a_killed_chaos_left_is_repaired_by_up(
    up: DockerWorld, fault: str, target: str
) -> None:
    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    pids, before = up.main_pids(), rules()
    with killed(up, fault, target):
        assert record.left(INSTANCE, "docker") == (f"{fault}:{target}",)
    changes = [change.step.name for change in up.preview().changes]
    assert f"faults {fault}:{target}: remove" in changes
    said: list[str] = []
    up.up(timeout_s=UP_TIMEOUT_S, progress=said.append)
    assert f"{fault}:{target}: taken away: chaos was killed" in said
    assert record.left(INSTANCE, "docker") == ()
    assert without_counts(rules()) == without_counts(before)
    assert "7e57:" not in qdiscs()
    until(lambda: is_healthy(up), 20)
    if fault == "rate":
        inside = f"--net=/proc/{pids[target]}/ns/net"
        assert "7e57:" not in shell(["nsenter", inside, "tc", "qdisc", "show"]).stdout
    assert not [pid for pid in up.main_pids().values() if procfs.stat(pid).state == "T"]


def test_down_takes_away_what_a_killed_chaos_left(up: DockerWorld) -> None:
    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    with killed(up, "sigstop", "nginx-lb"):
        pass
    removed = up.down(progress=print_nothing)
    assert removed[0] == "faults sigstop:nginx-lb"
    assert containers() == {}
    assert record.left(INSTANCE, "docker") == ()
