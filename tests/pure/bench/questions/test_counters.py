"""Counters are those of one window, for each of its requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from bench.engine.arm import Arm
from bench.load import Tally
from bench.questions import counters
from bench.questions.counters import counting


def test_counters_are_of_one_window_per_request_and_read_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []
    opened = iter([0.0, 0.0, 100.0, 150.0, 200.0, 400.0])  # at rest, and around two windows

    def read(place: object) -> dict[str, float]:
        order.append("counters")
        return {"opened": next(opened)}

    monkeypatch.setattr(counters, "_counters", read)
    monkeypatch.setattr(counters, "_REST_S", 0.01)
    monkeypatch.setattr(counters, "saved_rules", lambda: "*filter\n-A INPUT\n-A OUTPUT\n")
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
