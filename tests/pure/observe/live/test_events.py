"""Events are what changed between two readings: deaths, restarts, health, ejections, leases."""

from __future__ import annotations

import pytest

from tests.support.bench_fakes import PLAN
from tests.support.readings import at_gateway, counts, reading
from twinstack.observe.live.answers import Lease
from twinstack.observe.live.events import events
from twinstack.observe.live.model import Health, ProbeResult, Reading


def happened(before: Reading, now: Reading) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.replica, one.good) for one in events(PLAN, 0.0, before, now)]


def test_a_death_and_a_restart_are_events():
    name = "redis-cache"
    without = {one: pid for one, pid in reading(0.0).pids.items() if one != name}
    dead = reading(2.0, pids=without, probes={name: ProbeResult("down", "gone")})
    assert happened(reading(1.0), dead) == [("death", name, False)]
    back = reading(3.0, pids={**without, name: 999})
    assert happened(dead, back) == [("restart", name, True), ("healthy", name, True)]
    assert happened(reading(1.0), back) == [("restart", name, True)]
    assert happened(reading(1.0), reading(1.0)) == []


@pytest.mark.parametrize(("health", "expected"), [("down", 1), ("degraded", 1), ("up", 0)])
def test_a_living_process_that_is_not_up_is_unhealthy(health: Health, expected: int):
    now = reading(2.0, probes={"order-service": ProbeResult(health, "postgres down")})
    assert happened(reading(1.0), now) == [("unhealthy", "order-service", False)] * expected


def test_an_ejection_and_a_lost_lease_are_events():
    def at(at_s: float, shunned: tuple[str, ...], *instances: str) -> Reading:
        leases = tuple(
            Lease(instance=one, address="10.0.0.30", port=5000, expires_in_s=9.0)
            for one in instances
        )
        gateway = counts({"product-service-2": 1}, shunned=shunned)
        return at_gateway(at_s, gateway, registry=leases)

    fine, gone = at(1.0, (), "a", "b"), at(2.0, ("product-service-2",), "a")
    assert happened(fine, gone) == [("ejected", "product-service-2", False), ("left", "b", False)]
    assert happened(gone, fine) == [
        ("readmitted", "product-service-2", True),
        ("joined", "b", True),
    ]
