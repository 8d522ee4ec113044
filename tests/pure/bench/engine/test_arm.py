"""A window's CPU time is the sum of its parts, beyond rest and without strangers."""

from __future__ import annotations

import pytest

from bench.engine.arm import joined
from tests.support.bench_fakes import window


def test_what_is_spent_at_rest_is_no_cost_of_a_request() -> None:
    assert window("a").part("services") == (330_000 - 10_000) / 4_000
    assert window("a").cpu == 100.0


def test_a_strangers_time_is_in_no_arm_but_makes_the_machine_busy() -> None:
    spoiled = window("a", parts_us={"services": 330_000.0, "other programs": 900_000.0})
    assert spoiled.cpu == window("a", parts_us={"services": 330_000.0}).cpu
    assert spoiled.busy(cores=2) == pytest.approx(0.225)


def test_rate_and_quota_are_of_the_window() -> None:
    held = window("a", throttled_us=500_000.0)
    assert (held.rate, held.quota) == (2_000.0, 0.25)


def test_the_runs_of_a_window_add_up_and_its_figures_are_their_means() -> None:
    one = window("a", work_us=300.0, figures={"p99_ms": 4.0})
    other = window(
        "a", done=1_000, failed=2, services_us={"nginx-lb": 7.0}, figures={"p99_ms": 8.0}
    )
    both = joined([one, other])
    assert (both.seconds, both.done, both.failed) == (4.0, 5_000, 2)
    assert both.part("services") == (660_000 - 20_000) / 5_000
    assert both.services_us["nginx-lb"] == one.services_us.get("nginx-lb", 0.0) + 7.0
    assert both.work_us == 300.0  # of the run in which a piece was done
    assert both.figures == {"p99_ms": 6.0}
    assert joined([one]) is one
