"""A cause is named by the counter that it alone moves; where several moved, toggles decide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from bench.engine.arm import Arm, Contrast
from bench.engine.measured import Measured
from bench.load import Tally
from bench.questions import symptoms
from bench.questions.causes import COLD, DNS, KEEPALIVE, LOG, PROXY, QUOTA, REPLICA, RULES
from bench.questions.symptoms import counting, findings, named, unlike
from tests.support.bench_fakes import measured, window

WORSE = Contrast("suspect", "as planned")
PLAIN = {"waited_lines": 2.0, "rules": 64.0}
SHOWN: dict[str, dict[str, Any]] = {
    QUOTA: {"throttled_us": 400_000.0},
    PROXY: {"parts_us": {"services": 300_000.0, "docker-proxy": 160_000.0}},
    REPLICA: {"figures": {**PLAIN, "missing": 1.0}},
    KEEPALIVE: {"figures": {**PLAIN, "opened": 1.0}},
    DNS: {"figures": {**PLAIN, "opened": 1.0, "datagrams": 2.0}},
    RULES: {"figures": {**PLAIN, "rules": 2_067.0}},
    LOG: {"figures": {"waited_lines": 3.0, "rules": 64.0}},
    COLD: {"figures": {**PLAIN, "fills": 0.05}},
}


def looked_at(shown: dict[str, Any]) -> Measured:
    windows = [
        window(arm, deployment, deployment, **{"figures": PLAIN, **fields})
        for deployment in (1, 2, 3)
        for arm, fields in (("as planned", {}), ("suspect", shown))
    ]
    return measured({}, [WORSE], windows=tuple(windows))


@pytest.mark.parametrize("cause", SHOWN)
def test_each_cause_is_named_by_its_own_counter_alone(cause: str) -> None:
    found = findings(looked_at(SHOWN[cause]), WORSE)
    assert named(found, {}) == (cause,)
    assert max(map(len, symptoms.table(found, WORSE).splitlines())) <= 80


def test_nothing_is_named_where_nothing_shows() -> None:
    found = findings(looked_at({}), WORSE)
    assert named(found, {}) == ()
    assert "None of the known causes" in symptoms.table(found, WORSE)


def test_the_cause_whose_removal_leaves_least_is_named_first() -> None:
    figures = {**PLAIN, "rules": 2_067.0, "fills": 0.05}
    found = findings(looked_at({"figures": figures}), WORSE)
    assert {each.cause for each in found} == {RULES, COLD}
    assert named(found, {RULES: 0.4, COLD: 0.02}) == (COLD, RULES)


def test_arms_are_unlike_in_rate_and_cpu_together() -> None:
    arms = measured({"a": 4_000, "b": 2_000}, [WORSE]).arms
    assert unlike(arms["a"], arms["a"]) == 0
    assert unlike(arms["a"], arms["b"]) == pytest.approx(2 * 0.693, abs=0.03)


def test_counters_are_of_one_window_per_request_and_read_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []
    opened = iter([0.0, 0.0, 100.0, 150.0, 200.0, 400.0])  # at rest, and around two windows

    def read(place: object) -> dict[str, float]:
        order.append("counters")
        return {"opened": next(opened)}

    monkeypatch.setattr(symptoms, "_counters", read)
    monkeypatch.setattr(symptoms, "_REST_S", 0.01)
    monkeypatch.setattr(symptoms, "saved_rules", lambda: "*filter\n-A INPUT\n-A OUTPUT\n")
    plan = SimpleNamespace(replicas=[1, 2, 3])
    cpu_us = iter([{"a": 0}, {"a": 50}] * 2)
    world = SimpleNamespace(plan=plan, main_pids=lambda: {"a": 1}, cpu_us=lambda: next(cpu_us))
    place: Any = SimpleNamespace(world=world)

    @contextmanager
    def planted() -> Iterator[None]:
        order.append("planted")
        yield

    def load() -> Tally:
        order.append("load")
        return Tally(100, 0, {"seconds": 2.0})

    arm = counting(place)(Arm("a", load, during=planted))
    del order[:]
    tallies = []
    for _ in range(2):
        with arm.during():
            tallies.append(arm.load())
    assert order == ["planted", "counters", "load", "counters"] * 2
    assert [tally.figures["opened"] for tally in tallies] == [0.5, 2.0]
    assert tallies[0].figures.items() >= {"seconds": 2.0, "rules": 2, "missing": 2}.items()
    assert place.used_cores["a"] > 0
