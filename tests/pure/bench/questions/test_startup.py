"""A start is judged by its slowest time, worlds are left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.questions import startup
from bench.questions.startup import Startup
from tests.support.bench_fakes import quiet
from twinstack.errors import TwinstackError


def test_a_start_is_judged_by_the_slowest() -> None:
    start = Startup("net", (1.0, 1.1, 2.2), (1.0, 1.0, 1.0), {"nginx-lb": 10 << 20})
    assert "within 2 s: FAILS" in start.sentence
    assert "below 600: holds" in start.sentence
    assert "within 2 s: holds" in replace(start, up_s=(2.0,)).sentence
    assert "nginx-lb" in startup.table([start])
    assert max(map(len, startup.table([start]).splitlines())) <= 80


@pytest.mark.parametrize(("up_s", "code"), [(1.0, 0), (2.5, 1)])
def test_a_start_neither_limits_a_world_nor_leaves_it_up(
    stack: Any, monkeypatch: pytest.MonkeyPatch, up_s: float, code: int
) -> None:
    stack.set("net", "flat", limited=False)

    def measure(world: Any, **_: object) -> Startup:
        world.up(timeout_s=1, progress=quiet)
        return Startup("net", (up_s,), (1.0,), {"nginx-lb": 1})

    monkeypatch.setattr(startup, "measure", measure)
    assert startup.ask(stack, times=1, progress=quiet).code == code
    assert stack.actions == [
        "up net flat unlimited",
        "up net flat unlimited",
        "up docker flat limited",
        "down docker",
    ]


def test_no_times_are_refused_before_a_world_is_touched(stack: Any) -> None:
    with pytest.raises(TwinstackError, match="cannot be"):
        startup.ask(stack, times=0, progress=quiet)
    assert stack.actions == []
