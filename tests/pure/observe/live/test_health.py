"""An hour of states is kept as runs: exact, bounded, and without what nobody saw."""

from __future__ import annotations

from typing import Any

from twinstack.observe.live import health
from twinstack.observe.live.health import HealthRuns, StateRun


def document(at: float, **states: str) -> dict[str, Any]:
    replicas = [
        {"name": name, "state": state, "detail": "" if state == "up" else "no answer"}
        for name, state in states.items()
    ]
    return {"at": at, "replicas": replicas}


def runs(*documents: dict[str, Any]) -> tuple[StateRun, ...]:
    made = HealthRuns()
    for each in documents:
        made.take(each)
    return made.of("a")


def test_a_state_holds_until_the_next_sample():
    assert runs(
        document(1, a="up"), document(2, a="up"), document(3, a="down"), document(4, a="up")
    ) == (
        StateRun("up", 1, 3),
        StateRun("down", 3, 4, "no answer"),
        StateRun("up", 4, 4),
    )


def test_a_silence_and_a_sample_without_the_replica_are_gaps():
    after = document(20, a="up")
    assert runs(document(1, a="up"), after) == (StateRun("up", 1, 1), StateRun("up", 20, 20))
    absent = [document(at) for at in range(2, 20)]
    assert runs(document(1, a="up"), *absent, after)[-1] == StateRun("up", 20, 20)


def test_an_hour_is_kept_in_a_bounded_number_of_runs():
    steady = runs(*(document(at, a="up") for at in range(0, 9000, 5)))
    assert steady == (StateRun("up", 0, 8995),)
    broken = [document(at, a=("up", "down")[at % 2]) for at in range(1000)]
    assert len(runs(*broken)) == health.MOST_RUNS
    early = (document(1, a="down"), *(document(at, a="up") for at in range(2, 4000)))
    assert runs(*early) == (StateRun("up", 2, 3999),)
    made = HealthRuns()
    for each in (document(1, a="up"), document(5000, b="up")):
        made.take(each)
    assert list(made._runs) == ["b"]


def test_a_clock_that_is_set_back_starts_over():
    assert runs(document(5000, a="up"), document(10, a="down")) == (
        StateRun("down", 10, 10, "no answer"),
    )


def test_what_is_given_does_not_change_afterwards():
    made = HealthRuns()
    made.take(document(1, a="up"))
    given = made.of("a")
    made.take(document(2, a="up"))
    assert given == (StateRun("up", 1, 1),)
    assert made.of("nobody") == ()
