"""Are causes named rightly? Each is planted some times, and which is named first is counted.

The planted world is compared with itself as planned, window by window. The naming sees only what a
user's comparison has: windows with their counters (see `symptoms`). Where several causes show, each
is taken away alone. Runs are kept one by one: stopped, it goes on another time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from statistics import fmean

from bench.engine import store, worlds
from bench.engine.arm import RATE, Arm, Contrast
from bench.engine.loads import by_wrk
from bench.engine.question import Design, Experiment, Measured, Outcome, run
from bench.engine.show import columns, wrap
from bench.engine.store import RESULTS
from bench.load import Tally
from bench.questions.causes import CAUSES, Cause, PlantedWorld, place_in, planted
from bench.questions.compare import CONNECTIONS
from bench.questions.symptoms import SERVICES_US, counting, findings, named, unlike
from twinstack.errors import CannotTell
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.statistics.estimate import grouped

PLANNED, SUSPECT = "as planned", "suspect"
WORSE = Contrast(SUSPECT, PLANNED)
#: How many of the plants are to be named first.
LEAST = 0.95
#: Short, on purpose: three looks of a few seconds.
HOW = Design(minutes=0.2, blocks=1, least=3)
_PATH, _MOST_TIMES = "/api/products", 100
Held = Callable[[], AbstractContextManager[Mapping[int, str] | None]]


@dataclass(frozen=True, slots=True)
class NamingRun:
    """One plant, as it is kept."""

    planted: str
    named: tuple[str, ...]  # first is named first
    toggled: bool  # the counters left it open
    rate: float  # the suspect's, as a part of the planned
    cpu: float  # of the services, per request

    @property
    def right(self) -> bool:
        return self.named[:1] == (self.planted,)


def ask(
    stack: Stack, *, times: int, kept: Path = RESULTS / "planted.jsonl", progress: Progress
) -> Outcome:
    """Plant each cause as often as is missing, and judge all that are kept.

    Raises: CannotTell; Missing; StepFailed where a cause cannot be planted or taken away.
    """
    bounds.within("plant", times, 1, _MOST_TIMES)
    world = worlds.ready(stack, "net", None, progress)
    place, retries = place_in(world), times * len(CAUSES)
    with worlds.lifted([world]):
        counted = counting(place)
        while missing := absent(read(kept), times):
            cause = random.choice(missing)
            progress(f"planting: {cause.name}")
            try:
                store.add_run(kept, look(place, cause, counted, progress))
            except CannotTell as error:  # a window without an answer is no run, and not the end
                if not (retries := retries - 1):
                    raise
                progress(f"not measured, again: {error}")
    done = read(kept)
    code = 0 if sum(each.right for each in done) >= LEAST * len(done) else 1
    return Outcome("planted", world.plan, tuple(done), text(done), code)


def absent(done: Sequence[NamingRun], times: int) -> list[Cause]:
    """Give the causes that were not planted often enough; pure."""
    counts = Counter(each.planted for each in done)
    return [each for each in CAUSES if counts[each.name] < times]


def look(
    place: PlantedWorld, cause: Cause, counted: Callable[[Arm], Arm], progress: Progress
) -> NamingRun:
    """Compare the world with a cause in it with the world as planned, and name what shows."""

    @contextmanager
    def without(other: str) -> Iterator[Mapping[int, str] | None]:
        with planted(place, cause) as parts:
            next(each for each in CAUSES if each.name == other).restore(place)
            yield parts

    measured = _measure(place, counted, {SUSPECT: partial(planted, place, cause)}, progress)
    found, left = findings(measured, WORSE), dict[str, float]()
    if len(found) > 1:
        arms: dict[str, Held] = {each.cause: partial(without, each.cause) for each in found}
        again = _measure(place, counted, arms, progress).arms
        left = {name: unlike(again[name], again[PLANNED]) for name in arms}
    ratios = [measured.ratio(WORSE, quantity).estimate for quantity in (RATE, SERVICES_US)]
    return NamingRun(cause.name, named(found, left), bool(left), *ratios)


def _measure(
    place: PlantedWorld,
    counted: Callable[[Arm], Arm],
    suspects: Mapping[str, Held],
    progress: Progress,
) -> Measured:
    """Compare suspects with the world as planned. Raises: CannotTell when it was cut short."""

    def load() -> Tally:
        return by_wrk(place.entry.url(_PATH), CONNECTIONS, round(HOW.seconds))()

    arms = [Arm(PLANNED, load, "net")]
    arms += (Arm(name, load, "net", during) for name, during in suspects.items())
    experiment = Experiment(
        stage=lambda: nullcontext([*map(counted, arms)]),
        contrasts=tuple(Contrast(name, PLANNED) for name in suspects),
        load="a short look",
        worlds=[place.world],
        quantities=(RATE, SERVICES_US),
        rest_s=0.5,
    )
    measured = run(experiment, HOW, progress)
    if measured.code == 130:
        raise KeyboardInterrupt
    if measured.broken:
        raise CannotTell("a planted cause", "was not measured", measured.broken, "measure again")
    return measured


def read(file: Path) -> list[NamingRun]:
    """Read the kept runs."""
    return [NamingRun(**{**each, "named": tuple(each["named"])}) for each in store.runs(file)]


def text(done: Sequence[NamingRun]) -> str:
    """Say how often each cause was named first, and what else was; pure."""
    rows = []
    for name, own in grouped(done, lambda run: run.planted).items():
        wrong = Counter(" ".join(each.named[:1]) or "nothing" for each in own if not each.right)
        instead = ", ".join(f"{cause} {count}" for cause, count in wrong.items())
        right, toggled = sum(each.right for each in own), sum(each.toggled for each in own)
        rates = (f"{fmean(map(attrgetter(of), own)) - 1:+.0%}" for of in ("rate", "cpu"))
        rows.append([name, f"{right} of {len(own)}", str(toggled), *rates, instead])
    right = sum(each.right for each in done)
    said = f"{right} of {len(done)} planted causes were named first: {right / len(done):.0%}."
    head = ["planted", "named first", "by toggles", "rate", "CPU", "named instead"]
    return f"{wrap(said)}\n\n{columns(head, rows, rule=True)}"
