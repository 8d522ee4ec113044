"""What a fault strikes, and when all is calm after it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.core_cases import planned
from twinstack.faults.drawing import DrawnFault
from twinstack.model.plan import Plan
from twinstack.order_check import strike as striking
from twinstack.order_check.customer import Recorder
from twinstack.order_check.history import Kind, Operation, OutcomeWord
from twinstack.order_check.strike import CALM_S, await_calm, struck_by

PLAN = planned()


@pytest.mark.parametrize(
    ("target", "struck"),
    [
        ("redis-cache", {"redis-cache"}),
        ("order-service/database", {"order-service", "redis-cache", "postgres-db"}),
        ("engine", {replica.name for replica in PLAN.here}),
    ],
)
def test_a_fault_strikes_a_replica_two_sides_or_all(target: str, struck: set[str]) -> None:
    assert {replica.name for replica in struck_by(PLAN, target)} == struck


@dataclass(frozen=True)
class Planned:
    """A world, as far as a strike at it looks."""

    plan: Plan = PLAN


class SlowHold:
    """Takes a while to take a fault away."""

    world = Planned()

    def put(self, fault: str, target: str) -> int:
        return 1

    def take_away(self, number: int) -> None:
        time.sleep(0.3)


@pytest.mark.parametrize(("fault", "over"), [("engine", True), ("stop", False)])
def test_a_fault_ends_with_its_taking_away_or_before_if_that_starts_all_again(
    monkeypatch: pytest.MonkeyPatch, fault: str, over: bool
) -> None:
    monkeypatch.setattr(striking, "await_healthy", lambda *_: None)
    held: Any = SlowHold()
    drawn = DrawnFault(1, fault, "engine" if over else "redis-cache")
    stop = threading.Event()
    stop.set()
    struck = striking.strike(held, drawn, Recorder(), stop)
    assert (struck.ended_s - struck.began_s < 0.3) is over


def asked(recorder: Recorder, stop: threading.Event, failing_until_s: float) -> None:
    """Read and order again and again; what is sent before a moment fails."""
    kinds: tuple[Kind, ...] = ("order", "product-read")
    while not stop.wait(0.05):
        for kind in kinds:
            number, sent_s = recorder.begin()
            outcome: OutcomeWord = "unknown" if sent_s < failing_until_s else "ok"
            recorder.end(Operation(number, 1, kind, sent_s, recorder.now_s(), outcome))


@pytest.mark.parametrize(("failing_s", "until_s"), [(0.5, 9.0), (9.0, 1.2)])
def test_all_is_calm_when_nothing_has_failed_for_a_while(failing_s: float, until_s: float) -> None:
    recorder, stop = Recorder(), threading.Event()
    thread = threading.Thread(target=asked, args=(recorder, stop, failing_s))
    thread.start()
    await_calm(recorder, until_s)
    took_s = recorder.now_s()
    stop.set()
    thread.join()
    sent_s = [each.invoked_s for each in recorder.operations if each.outcome == "unknown"]
    calm_s = min(max(sent_s) + CALM_S, until_s)
    assert calm_s <= took_s < calm_s + 0.5
