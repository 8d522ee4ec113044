"""A window's CPU time is the sum of its parts, beyond rest and without strangers."""

from __future__ import annotations

import pytest

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
