"""An experiment measures what its stage gives, anew for each deployment, and loses nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bench.engine import experiment as engine
from bench.engine.arm import LEFT_OVER, PROGRAMS, RATE, STRANGERS, Arm, Contrast, Window
from bench.engine.design import Design
from bench.engine.experiment import MOST_REPEATS, Experiment, run
from bench.engine.meter import Spending
from bench.load import Tally
from tests.support.bench_fakes import quiet, window
from twinstack.errors import CannotTell, StepFailed

#: As soon as there are enough deployments, whatever they show.
HOW = Design(minutes=0.05, blocks=2, seed=3, least=3, look=0.0, narrow={})


@pytest.fixture(autouse=True)
def _quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure whatever else this machine does."""
    monkeypatch.setattr(engine, "BUSY_PART", 1e9)


def experiment(load: Callable[[], Tally], stages: list[int] | None = None) -> Experiment:
    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        if stages is not None:
            stages.append(1)
        yield [Arm("a", load), Arm("b", load)]

    return Experiment(stage, (Contrast("a", "b"),), "a load", quantities=(RATE,), rest_s=0.0)


def answered() -> Tally:
    return Tally(10, 0, {"seconds": 0.01})


def test_each_deployment_has_its_blocks_of_both_arms_twice() -> None:
    stages: list[int] = []
    measured = run(experiment(answered, stages), replace(HOW, look=2.0), quiet)  # never precise
    assert measured.stopped == "out of time"
    assert measured.deployments == len(stages) >= 3
    assert len(measured.windows) == len(stages) * 2 * 4
    assert measured.seed == 3
    numbers = [window.block for window in measured.windows]
    assert numbers == sorted(numbers)


def test_a_block_of_short_windows_is_judged_second_by_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)

    def taken(part: float, seconds: float) -> Window:
        return window("a", seconds=seconds, parts_us={STRANGERS: part * seconds * 1e6})

    ticks = [taken(1.0 if place == 3 else 0.0, 0.125) for place in range(25)]
    assert engine.busiest(ticks) == pytest.approx(1 / 8)
    assert engine.busiest(ticks[:5]) == pytest.approx(1 / 5)
    assert engine.busiest([taken(0.0, 2.0), taken(0.3, 2.0)]) == pytest.approx(0.3)


def test_arms_take_turns_in_the_runs_of_a_window() -> None:
    loaded: list[str] = []

    def load(arm: str) -> Callable[[], Tally]:
        def run() -> Tally:
            loaded.append(arm)
            return answered()

        return run

    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        loaded.clear()
        yield [Arm("a", load("a")), Arm("b", load("b"))]

    taken = replace(experiment(answered), stage=stage)
    measured = run(taken, replace(HOW, blocks=1, runs=3), quiet)
    assert [window.done for window in measured.windows[:4]] == [30] * 4
    block = "".join(loaded)[4:]  # after each was warmed up, twice
    assert block in ("abba" * 3, "baab" * 3)


def test_a_replicas_time_is_what_it_spends_beyond_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    # First a second at rest, then half a second with requests.
    spendings = iter([(1.0, 200.0), (0.5, 900.0)])

    def spent(*_: object) -> Spending:
        seconds, us = next(spendings)
        return Spending(seconds, {"services": us}, {"nginx-lb": us}, 0.0, 0.0)

    monkeypatch.setattr(engine, "spent", spent)
    live = engine.Live(experiment(answered), replace(HOW, blocks=1), quiet, seed=3)
    live.deploy(1, {"a": Arm("a", answered)}, iter([("a",)]))
    (window,) = live.windows
    assert window.services_us == {"nginx-lb": 800.0}
    assert window.service("nginx-lb") == window.part("services") == 80.0


@pytest.mark.parametrize("part", [STRANGERS, LEFT_OVER])
@pytest.mark.parametrize(
    ("times", "repeated", "busy"), [(1, 1, 0), (MOST_REPEATS + 1, MOST_REPEATS, 1)]
)
def test_a_rest_that_others_spoil_is_watched_again_and_then_said(
    monkeypatch: pytest.MonkeyPatch, part: str, times: int, repeated: int, busy: int
) -> None:
    monkeypatch.setattr(engine, "BUSY_PART", 0.1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    taken = iter([0.5e6] * times + [0.0] * 9)
    spent = lambda *_: Spending(1.0, {part: next(taken)}, {}, 0.0, 0.0)  # noqa: E731
    monkeypatch.setattr(engine, "spent", spent)
    live = engine.Live(experiment(answered), replace(HOW, blocks=1, minutes=5), quiet, seed=3)
    live.deploy(1, {"a": Arm("a", answered)}, iter([("a",)]))
    assert (live.repeated, live.busy) == (repeated, busy)


@pytest.mark.parametrize(
    "failure", [StepFailed("wrk", "ended early"), OSError(28, "No space left on device", "/tmp/x")]
)
def test_what_was_measured_before_a_failure_is_kept(failure: Exception) -> None:
    calls = iter(range(100))

    def dies() -> Tally:
        if next(calls) == 11:  # in the second block, after the warm-ups
            raise failure
        return answered()

    measured = run(experiment(dies), HOW, quiet)
    assert (measured.stopped, measured.broken) == ("interrupted", str(failure))
    assert len(measured.windows) == 8
    assert measured.exit_code == 1


def test_ctrl_c_keeps_what_was_measured() -> None:
    calls = iter(range(100))

    def interrupted() -> Tally:
        if next(calls) == 7:
            raise KeyboardInterrupt
        return answered()

    measured = run(experiment(interrupted), HOW, quiet)
    assert (len(measured.windows), measured.exit_code) == (4, 130)


def test_a_failure_before_anything_was_measured_is_an_error() -> None:
    with pytest.raises(CannotTell, match=r"(a|b): did not answer one request"):
        run(experiment(lambda: Tally(0, 5)), HOW, quiet)


def test_blocks_that_others_spoil_are_measured_again_and_then_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "BUSY_PART", -1.0)  # all are
    measured = run(experiment(answered), HOW, quiet)
    assert 0 < measured.repeated <= MOST_REPEATS
    assert measured.busy == measured.deployments * HOW.blocks


def test_what_holds_around_a_window_names_the_programs_that_count() -> None:
    entered: list[str] = []

    @contextmanager
    def during() -> Iterator[dict[int, str]]:
        entered.append("in")
        yield {1: PROGRAMS}
        entered.append("out")

    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        yield [Arm("a", answered, during=during), Arm("b", answered)]

    alone = Experiment(stage, (Contrast("a", "b"),), "", quantities=(RATE,), rest_s=0.0)
    measured = run(alone, HOW, quiet)
    assert PROGRAMS in measured.arms["a"][0].parts_us
    assert entered[:4] == ["in", "out"] * 2


@pytest.mark.parametrize(("each", "inside"), [(False, [False]), (True, [False, True])])
def test_what_holds_around_an_arm_is_in_its_rest_only_where_each_is_watched(
    monkeypatch: pytest.MonkeyPatch, each: bool, inside: list[bool]
) -> None:
    held, watched = [False], []
    rest_s = 0.00123  # other tests' threads sleep too

    def sleep(seconds: float) -> None:
        if seconds == rest_s:
            watched.append(held[0])

    monkeypatch.setattr("time.sleep", sleep)

    @contextmanager
    def during() -> Iterator[None]:
        held[0] = True
        yield
        held[0] = False

    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        yield [Arm("a", answered), Arm("b", answered, during=during)]

    run(Experiment(stage, (), "", quantities=(RATE,), rest_s=rest_s, rest_each=each), HOW, quiet)
    assert watched[: len(inside)] == inside


@pytest.mark.parametrize(("window_s", "rest_s"), [(0.1, 1.0), (1.7, 1.7)])
def test_rest_is_watched_for_a_window_but_never_less_than_a_second(
    monkeypatch: pytest.MonkeyPatch, window_s: float, rest_s: float
) -> None:
    watched: list[float] = []
    monkeypatch.setattr("time.sleep", watched.append)
    asked = replace(experiment(answered), rest_s=None)
    run(asked, replace(HOW, seconds=window_s), quiet)
    assert rest_s in watched  # other tests' threads sleep too


def test_progress_says_how_much_of_the_time_is_gone() -> None:
    lines: list[str] = []
    run(experiment(answered), HOW, lines.append)
    assert lines[0] == "0:00 of 0:03, deployment 1: restarting what is measured"
    assert engine.clock(245.9) == "4:05"


def test_blocks_are_not_measured_again_when_the_time_is_over() -> None:
    live = engine.Live(experiment(answered), HOW, quiet, seed=3)
    assert (live.again(), live.repeated) == (True, 1)
    live.start_s -= HOW.minutes * 60
    assert (live.again(), live.repeated) == (False, 1)


def test_rest_is_watched_after_the_warm_up() -> None:
    done: list[str] = []

    def load() -> Tally:
        done.append("load")
        return answered()

    class Watching(engine.Live):
        def _rest(self, meter: object, arms: object) -> dict[str, object]:  # type: ignore[override]
            done.append("rest")
            return super()._rest(meter, arms)  # type: ignore[arg-type, return-value]

    live = Watching(experiment(load), replace(HOW, blocks=1), quiet, seed=3)
    live.deploy(1, {"a": Arm("a", load)}, iter([("a",)]))
    assert done == ["load", "rest", "load"]
