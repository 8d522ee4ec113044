"""What does Docker cost, told finely: every way in has a load of its own, and they take turns.

`ab` begins anew in each trial, and a trial is short; what a machine does in such a while differs
from one to the next by tens of percent. Here each way in has a wrk that keeps its connections. In
each round, in random order, each is let go for two seconds while the others are held, and nginx'
own counter says what was answered.
"""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass

from bench.engine import comparability, observed, probe, report, trials, windows, worlds
from bench.engine.design import require_rounds, schedule
from bench.engine.trials import Target
from bench.questions import compare as run
from bench.questions.catalogue import Answer
from bench.questions.turns_cost import (
    AGAIN,
    CONCURRENCY,
    DOCKER,
    NET,
    PATH,
    Turn,
    Turns,
    summarise,
    text,
)
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

#: What is let go has answers to take that waited; and how long worlds at rest are looked at.
_TURN_S, _REST_S = 0.3, 4.0
#: How much more than its longest hold an answer may take; and how long a window may be: wrk
#: sets memory aside for every microsecond of its patience.
_PATIENCE_S, _LONGEST_S = 5, 10


def ask_turns(
    stack: Stack,
    *,
    rounds: int,
    seconds: int = 2,
    doors: bool = True,
    shape: str | None = None,
    force: bool = False,
    progress: Progress,
) -> Answer:
    """Compare both worlds; brings up what is not up. Raises: as `likeness.look`, `measured`."""
    require_rounds(rounds)
    bounds.within("seconds", seconds, 1, _LONGEST_S)
    shape = worlds.common_shape(stack, shape)
    net, docker = (
        worlds.ready(stack, "net", shape, progress),
        worlds.ready(stack, "docker", shape, progress),
    )
    with worlds.lifted([net, docker]):
        alike = comparability.look(net, docker, worlds.EDGE, PATH, force=force, progress=progress)
        found = measured(
            net, docker, rounds=rounds, seconds=seconds, doors=doors, progress=progress
        )
    parts = [text(found), *(report.differences(alike, one) for one in ("misleads", "stated"))]
    said = "\n\n".join(part for part in parts if part)
    return Answer("turns", net.plan, found, said, alike.sentences("misleads"))


def code(answer: Answer) -> int:
    """Give the exit code: 0, or 1 when a request failed."""
    assert isinstance(answer.found, Turns)
    return 1 if answer.found.failed else 0


def measured(
    net: LocalWorld,
    docker: LocalWorld,
    *,
    rounds: int,
    seconds: int,
    doors: bool,
    progress: Progress,
) -> Turns:
    """Measure two worlds that are up. Raises: Missing without wrk; StepFailed; CannotTell."""
    seed = secrets.randbits(32)
    pair = ((NET, net), (AGAIN, net), (DOCKER, docker))
    ways = [Target(name, world, world.endpoint(worlds.EDGE)) for name, world in pair]
    if doors:
        ways += run.published((net, docker), (worlds.EDGE,), PATH, progress)
    for way in ways:
        probe.get_ok(way.endpoint, PATH)
    progress(f"watching at rest for {_REST_S:g} s")
    rest = trials.rest((net, docker), seconds=_REST_S)
    turns: list[Turn] = []
    round_s = len(ways) * (seconds + _TURN_S)
    most_s = round(2 * rounds * round_s) + 120
    patience_s = round(2 * round_s) + _PATIENCE_S  # first in a round, last in the next
    with ExitStack() as open_:
        counters = {
            one.name: (open_.enter_context(windows.counting(one)), tuple(one.main_pids().values()))
            for one in (net, docker)
        }
        loaded = {
            way.name: _Way(
                way,
                *counters[way.world.name],
                rest.cpu_us_per_s[way.world.name],
                open_.enter_context(
                    windows.loaded(
                        way.endpoint.url(PATH),
                        connections=CONCURRENCY,
                        most_s=most_s,
                        patience_s=patience_s,
                        held=True,
                    )
                ),
            )
            for way in ways
        }
        for one in loaded.values():
            one.turn(0, 1)  # it opens its connections; not counted
        order = schedule(tuple(loaded), (), rounds=rounds, others_every=1, seed=seed)
        for number, names in enumerate(order, start=1):
            found = [loaded[name].turn(number, seconds) for name in names]
            turns += found
            shown = [one for one in found if one.way in {NET, DOCKER}]
            told = "  ".join(f"{one.way} {one.window.rate:,.0f}/s" for one in shown)
            progress(f"round {number}/{rounds}: {told}")
        sent = {name: one.load.ended() for name, one in loaded.items()}
    entries = {way.name: run.entry(way) for way in ways}
    return summarise(entries, turns, sent, rest, seconds=seconds, seed=seed)


@dataclass(frozen=True, slots=True)
class _Way:
    """A way in, with what counts its world's answers, its processes, its rest, and its load."""

    target: Target
    count: windows.Count
    pids: tuple[int, ...]
    rest_us_per_s: float
    load: windows.Load

    def turn(self, number: int, seconds: int) -> Turn:
        """Let its load go for a while, and count."""
        self.load.go_on()
        try:
            time.sleep(_TURN_S)
            held, client = self._held_us(), self.load.cpu_us()
            window = windows.window(self.target.world, self.count, seconds)
            return Turn(
                number,
                self.target.name,
                window,
                self.load.cpu_us() - client,
                self.rest_us_per_s * window.seconds,
                self._held_us() - held,
            )
        finally:
            self.load.hold()

    def _held_us(self) -> int:
        return sum(observed.throttled_us(pid) for pid in self.pids)
