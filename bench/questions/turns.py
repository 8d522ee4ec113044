"""What does Docker cost, to a few percent: every entry point has a load of its own, in turn.

`ab` starts again in each trial, and a trial is short; what a machine does in such a while differs
from one to the next by tens of percent. Here each entry point has a wrk that keeps its connections.
In each round, in random order, each runs for two seconds while the others are held, and nginx'
own counter says what was answered.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.engine import comparability, design, meter, probe, published_ports, windows, worlds
from bench.engine.meter import Rest
from bench.engine.store import Outcome
from bench.engine.trials import Target, each_world
from bench.engine.windows import EdgeCounter
from bench.load import wrk
from bench.load.wrk import HeldLoad
from bench.questions import turns_cost
from bench.questions.turns_cost import CONCURRENCY, PATH, Turn, Turns
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

#: A resumed load takes answers that waited; and how long worlds at rest are watched.
_TURN_S, _REST_S = 0.3, 4.0
#: How much longer than its longest hold an answer may take; and how long a window may be: wrk
#: sets memory aside for every microsecond of its timeout.
_TIMEOUT_S, _LONGEST_S = 5, 10


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """An entry point with its load, and what counts its world's answers and waiting."""

    target: Target
    load: HeldLoad
    count: EdgeCounter
    pids: Sequence[int]  # of the world's replicas
    rest_us_per_s: float

    def turn(self, number: int, seconds: int) -> Turn:
        """Let its load run for a while, and measure."""
        self.load.resume()
        try:
            time.sleep(_TURN_S)
            held_us = meter.throttled_us(self.pids)
            window = windows.window(self.target.world, self.count, self.load, seconds)
            rest_us = self.rest_us_per_s * window.seconds
            held_us = meter.throttled_us(self.pids) - held_us
            return Turn(number, self.target.name, window, rest_us, held_us)
        finally:
            self.load.hold()


def ask(
    stack: Stack,
    *,
    rounds: int,
    seconds: int = 2,
    published: bool = True,
    shape: str | None = None,
    force: bool = False,
    progress: Progress,
) -> Outcome:
    """Compare both worlds; `published` includes their published ports. Brings up what is not up.

    Raises: as `comparability.require`; Missing without wrk; StepFailed; CannotTell.
    """
    design.require_rounds(rounds)
    bounds.within("seconds", seconds, 1, _LONGEST_S)
    both = net, docker = worlds.both(stack, shape, progress)
    with worlds.lifted(both):
        alike = comparability.require(both, worlds.EDGE, PATH, force=force, progress=progress)
        pair = zip(
            (turns_cost.NET, turns_cost.AGAIN, turns_cost.DOCKER), (net, net, docker), strict=True
        )
        targets = [Target(name, world, world.endpoint(worlds.EDGE)) for name, world in pair]
        if published:
            edge = (worlds.EDGE,)
            targets += published_ports.targets(both, edge, PATH, progress)
        result = measure(targets, rounds=rounds, seconds=seconds, progress=progress)
    text = "\n\n".join(filter(None, [turns_cost.text(result), *alike.listed()]))
    code = 1 if result.failed else 0
    return Outcome("turns", net.plan, result, text, code, alike.sentences("misleads"))


def measure(targets: Sequence[Target], *, rounds: int, seconds: int, progress: Progress) -> Turns:
    """Measure entry points into worlds that are up. Raises: as `ask`."""
    seed = secrets.randbits(32)
    for target in targets:
        probe.get_ok(target.endpoint, PATH)
    progress(f"watching at rest for {_REST_S:g} s")
    used = each_world(targets)
    rest = meter.rest(used, seconds=_REST_S)
    with ExitStack() as stack:
        entries = _entry_points(stack, used, targets, rest, rounds, seconds)
        for entry in entries.values():
            entry.turn(design.WARM_UP, 1)  # it opens its connections

        def trial(name: str, number: int) -> Turn:
            return entries[name].turn(number, seconds)

        names, figure = tuple(entries), "window.rate"
        turns = design.interleave(names, trial, rounds, seed, progress, warmups=0, figure=figure)
        reports = {name: entry.load.stop() for name, entry in entries.items()}
    addresses = {target.name: published_ports.described(target) for target in targets}
    return turns_cost.summarise(addresses, turns, reports, rest, seconds=seconds, seed=seed)


def _entry_points(
    stack: ExitStack,
    used: Sequence[LocalWorld],
    targets: Sequence[Target],
    rest: Rest,
    rounds: int,
    seconds: int,
) -> Mapping[str, EntryPoint]:
    """Start a held load at each target."""
    counters = {world.name: stack.enter_context(windows.counting(world)) for world in used}
    pids = {world.name: tuple(world.main_pids().values()) for world in used}
    round_s = len(targets) * (seconds + _TURN_S)
    entries = {}
    for target in targets:
        load = wrk.asking(
            target.endpoint.url(PATH),
            connections=CONCURRENCY,
            most_s=round(2 * rounds * round_s) + 120,
            timeout_s=round(2 * round_s) + _TIMEOUT_S,  # first in a round, last in the next
            held=True,
        )
        name = target.world.name
        entries[target.name] = EntryPoint(
            target, stack.enter_context(load), counters[name], pids[name], rest.cpu_us_per_s[name]
        )
    return entries
