"""The probe of the machine's speed: it counts while it runs, costs little, and ends."""

from __future__ import annotations

import os
import time

import pytest

from bench.load.speed import probing
from twinstack.linux import procfs
from twinstack.linux.counters import cpu_us

TIMEOUT_S = 20.0


def test_the_probe_works_on_every_cpu_and_counts_its_cpu_time() -> None:
    with probing() as probe:
        assert len(probe.pids) == len(os.sched_getaffinity(0))
        deadline = time.monotonic() + TIMEOUT_S
        while (before := probe.read())[0] < 50 and time.monotonic() < deadline:
            time.sleep(0.05)
        own_us = sum(map(cpu_us, probe.pids))
        time.sleep(0.5)
        pieces, spent_us = (now - was for now, was in zip(probe.read(), before, strict=True))
        own_us = sum(map(cpu_us, probe.pids)) - own_us
        assert pieces >= 5
        assert 20 < spent_us / pieces < 20_000
        # What it counts is its own time, all but the counting.
        assert spent_us == pytest.approx(own_us, rel=0.5)
    assert not set(probe.pids) & set(procfs.pids())
