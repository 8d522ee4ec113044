"""Counters are read for what they mean, and the parts of a window add up to the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from bench.engine import meter
from bench.engine.arm import BENCH, CLIENT, IDLE, KERNEL, LEFT_OVER, SERVICES, STRANGERS
from bench.engine.meter import CounterReading, Meter
from twinstack.errors import CannotTell

BEFORE = CounterReading(
    clock_s=10.0,
    whole_us=1_000.0,
    stolen_us=5.0,
    children_us=50.0,
    services_us={("net", "nginx-lb"): 100.0, ("docker", "nginx-lb"): 300.0},
    throttled_us={"net": 7.0, "docker": 0.0},
    processes_us={20: ("dockerd", 40.0), 30: (STRANGERS, 60.0), 40: (KERNEL, 1.0)},
)
AFTER = CounterReading(
    clock_s=12.0,
    whole_us=2_000.0,
    stolen_us=6.0,
    children_us=150.0,
    services_us={("net", "nginx-lb"): 500.0, ("docker", "nginx-lb"): 310.0},
    throttled_us={"net": 9.0, "docker": 0.0},
    # 30 was used again, and 50 has begun meanwhile.
    processes_us={20: ("dockerd", 90.0), 30: (STRANGERS, 25.0), 50: ("docker-proxy", 80.0)},
)


def test_each_process_is_in_one_part_and_parts_add_up_to_the_whole() -> None:
    spent = meter.spent(BEFORE, AFTER, "net")
    assert spent.parts_us == {
        SERVICES: 400.0,
        IDLE: 10.0,
        CLIENT: 100.0,
        "dockerd": 50.0,
        STRANGERS: 25.0,
        "docker-proxy": 80.0,
        LEFT_OVER: 335.0,
    }
    assert sum(spent.parts_us.values()) == AFTER.whole_us - BEFORE.whole_us
    assert spent.services_us == {"nginx-lb": 400.0}
    assert (spent.seconds, spent.throttled_us, spent.stolen_us) == (2.0, 2.0, 1.0)


def test_the_other_world_is_idle() -> None:
    parts = meter.spent(BEFORE, AFTER, "docker").parts_us
    assert (parts[SERVICES], parts[IDLE]) == (10.0, 400.0)


def test_a_replica_that_restarted_spoils_the_window() -> None:
    again = replace(AFTER, services_us={("net", "nginx-lb"): 99.0})
    with pytest.raises(CannotTell, match="nginx-lb: restarted during a window"):
        meter.spent(BEFORE, again, "net")


@pytest.mark.parametrize(
    ("pid", "status", "expected"),
    [
        (2, {"Name": "kthreadd", "PPid": "0"}, KERNEL),
        (14, {"Name": "ksoftirqd/0", "PPid": "2"}, KERNEL),
        (99, {"Name": "dockerd", "PPid": "1"}, "dockerd"),
        (99, {"Name": "containerd", "PPid": "1"}, "containerd"),
        (99, {"Name": "containerd-shim", "PPid": "1"}, "containerd-shim"),
        (99, {"Name": "docker-proxy", "PPid": "1"}, "docker-proxy"),
        (99, {"Name": "docker", "PPid": "1"}, STRANGERS),
        (99, {}, STRANGERS),
    ],
)
def test_a_process_is_put_into_its_part_by_its_name(
    pid: int, status: dict[str, str], expected: str
) -> None:
    assert meter.part_of(pid, status) == expected


def test_an_ended_child_is_the_client_and_this_process_the_benchmark() -> None:
    counters = Meter(())
    before = counters.read()
    script = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", script], check=True)
    parts = meter.spent(before, counters.read(), "").parts_us
    assert parts[CLIENT] >= 300_000
    assert parts[BENCH] >= 0


def test_a_process_that_is_assigned_is_in_that_part() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as spinning:
        try:
            counters = Meter(())
            counters.assign({spinning.pid: "programs"})
            before = counters.read()
            while meter.spent(before, counters.read(), "").parts_us["programs"] < 50_000:
                pass
        finally:
            spinning.kill()
    assert os.getpid() in before.processes_us
