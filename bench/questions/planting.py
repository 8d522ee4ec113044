"""Are causes named rightly? Each is planted some times, and which is named first is counted.

The planted world is compared with itself as planned, window by window. The naming sees only what a
user's comparison has: windows with their counters (see `symptoms`). Where several causes show, each
is taken away alone, with what was planted still in place otherwise. Runs are kept one by one:
stopped, it goes on another time.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bench.engine import worlds
from bench.engine.arm import RATE, Arm, Contrast, Quantity
from bench.engine.design import Design
from bench.engine.experiment import Experiment, run
from bench.engine.loads import by_wrk
from bench.engine.show import columns, wrap
from bench.engine.store import RESULTS, Outcome
from bench.load import Tally
from bench.questions.causes import CAUSES, Cause, Place, counted, place_in, planted
from bench.questions.symptoms import findings, named, services_us, unlike
from twinstack.errors import CannotTell
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack

PLANNED, SUSPECT = "as planned", "suspect"
WORSE = Contrast(SUSPECT, PLANNED)
#: Rest included: a busy machine must not make it negative.
SERVICES_US = Quantity("services", "CPU time per request in the services", services_us, "µs")
#: How many of the plants are to be named first.
LEAST = 0.95
#: Short, on purpose: three looks of a few seconds.
HOW = Design(minutes=0.2, seconds=2.0, blocks=1, least=3)
_CONNECTIONS, _PATH, _MOST_TIMES = 20, "/api/products", 100

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
    stack: Stack,
    *,
    times: int,
    only: str = "",
    kept: Path = RESULTS / "planted.jsonl",
    progress: Progress,
) -> Outcome:
    """Plant each cause as often as is missing, and judge all that are kept.

    Raises: CannotTell; Missing; StepFailed where a cause cannot be planted or taken away.
    """
    bounds.within("plant", times, 1, _MOST_TIMES)
    world = worlds.ready(stack, "net", None, progress)
    place = place_in(stack, world)
    with worlds.lifted([world]):
        load = counted(place, lambda: _load(place))
        again = times * len(CAUSES)  # a window without an answer is no run, and not the end
        while missing := _missing(read(kept), times, only):
            cause = random.choice(missing)
            progress(f"planting: {cause.name}")
            try:
                keep(kept, look(place, cause, load, progress))
            except CannotTell as error:
                if not (again := again - 1):
                    raise
                progress(f"not measured, again: {error}")
    done = read(kept)
    code = 0 if sum(each.right for each in done) >= LEAST * len(done) else 1
    return Outcome("planted", world.plan, tuple(done), text(done), code)


def _missing(done: Sequence[NamingRun], times: int, only: str) -> list[Cause]:
    counts = Counter(each.planted for each in done)
    return [each for each in CAUSES if counts[each.name] < times and only in each.name]


def _load(place: Place) -> Tally:
    return by_wrk(place.entry.url(_PATH), _CONNECTIONS, round(HOW.seconds))()


def look(
    place: Place, cause: Cause, load: Callable[[], Tally], progress: Progress = lambda _: None
) -> NamingRun:
    """Compare the world with a cause in it with the world as planned, and name what shows."""
    suspect = partial(planted, place, cause)
    measured = run(_experiment(place, load, {SUSPECT: suspect}), HOW, progress)
    if measured.broken:
        raise CannotTell(cause.name, "was not measured", measured.broken, "measure again")
    found, left = findings(measured, WORSE), {}
    if len(found) > 1:
        toggles = {f"without {each.cause}": each.cause for each in found}
        arms = {name: _without(place, cause, toggles[name]) for name in toggles}
        again = run(_experiment(place, load, arms), HOW, progress)
        planned = again.arms[PLANNED]
        left = {of: unlike(again.arms[name], planned) for name, of in toggles.items()}
    ratios = [measured.ratio(WORSE, quantity).estimate for quantity in (RATE, SERVICES_US)]
    return NamingRun(cause.name, named(found, left), bool(left), *ratios)


def _without(place: Place, cause: Cause, other: str) -> Held:
    """Give what holds a cause planted with another, which may be the same, taken away."""
    toggle = next(each for each in CAUSES if each.name == other)

    @contextmanager
    def during() -> Iterator[Mapping[int, str]]:
        with planted(place, cause) as parts:
            toggle.restore(place)
            yield parts

    return during


def _experiment(
    place: Place,
    load: Callable[[], Tally],
    suspects: Mapping[str, Held],
) -> Experiment:
    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        others = [Arm(name, load, "net", during) for name, during in suspects.items()]
        yield [Arm(PLANNED, load, "net"), *others]

    return Experiment(
        stage=stage,
        contrasts=tuple(Contrast(name, PLANNED) for name in suspects),
        load=f"{_CONNECTIONS} kept connections (wrk), {_PATH}",
        worlds=[place.world],
        quantities=(RATE, SERVICES_US),
        rest_s=0.5,
    )


def keep(file: Path, ended: NamingRun) -> None:
    """Add a run to those that are kept, a line each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(ended)) + "\n")


def read(file: Path) -> list[NamingRun]:
    """Read the kept runs."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    documents = map(json.loads, lines)
    return [NamingRun(**{**each, "named": tuple(each["named"])}) for each in documents]


def text(done: Sequence[NamingRun]) -> str:
    """Say how often each cause was named first, and what else was; pure."""
    rows = []
    for name in dict.fromkeys(each.planted for each in done):
        own = [each for each in done if each.planted == name]
        wrong = Counter(" ".join(each.named[:1]) or "nothing" for each in own if not each.right)
        rates = [
            f"{sum(getattr(e, of) for e in own) / len(own) - 1:+.0%}" for of in ("rate", "cpu")
        ]
        told = ", ".join(f"{cause} {count}" for cause, count in wrong.items())
        right, toggled = sum(each.right for each in own), sum(each.toggled for each in own)
        rows.append([name, f"{right} of {len(own)}", str(toggled), *rates, told])
    right = sum(each.right for each in done)
    said = f"{right} of {len(done)} planted causes were named first: {right / len(done):.0%}."
    head = ["planted", "named first", "by toggles", "rate", "CPU", "named instead"]
    return f"{wrap(said)}\n\n{columns(head, rows, rule=True)}"
