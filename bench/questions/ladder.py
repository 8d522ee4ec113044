"""Which layer costs what? A ladder of single layers, climbed up and down, each with its proof.

A request is answered by the start of a file: over a TCP connection that is kept, or a new one each.
Client and server are `bench.load.echo`, on one CPU, so what differs between two rungs is the layer.
A way is climbed from end to end in one block, so that errors do not add up with the rungs; the ends
have blocks of their own, with which the sum of the rungs is checked.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from bench.engine.arm import Arm
from bench.engine.question import Design, Experiment, Measured, Outcome, run
from bench.engine.result import fields
from bench.engine.show import wrap
from bench.questions.rungs import course, engines, layers, report, sides
from bench.questions.rungs.course import KINDS, WHOLE, Edge, arm
from bench.questions.rungs.pair import LadderPlace
from bench.questions.rungs.sides import Make
from twinstack.errors import TwinstackError
from twinstack.reconcile import Progress
from twinstack.stack import Stack

#: Short, as a rung's two places follow each other at once. Units: seconds.
_WINDOW_S = 0.1


def ask(stack: Stack, *, how: Design, progress: Progress) -> Outcome:
    """Climb the ladder. Raises: TwinstackError when nothing can be measured."""
    plan = stack.plan("tiered")
    with engines.running(plan.mark) as (running, lacking):
        beside = [*sides.SIDES, *(rung for engine in running for rung in engine.rungs(plan))]
        try:
            beside.append(engines.swarm(stack))
        except TwinstackError as error:
            lacking["Swarm overlay"] = str(error)
        lacking |= {rung.name: why for rung in beside if (why := rung.lacks())}
        beside = [rung for rung in beside if rung.name not in lacking]
        places: dict[str, Make] = {
            name: partial(layers.place, setting=setting, plan=plan)
            for name, setting in course.settings().items()
        }
        places |= {rung.name: rung.place for rung in beside}
        places |= {engines.HOST: engines.loopback} if running else {}
        climb = Climb(places, progress, lacking, _WINDOW_S)
        climb.survey()
        edges = climb.usable([*course.edges(), *(rung.edge for rung in beside)])
        experiment = Experiment(
            stage=climb.stage,
            contrasts=tuple(edge.contrast(kind) for edge in edges for kind in KINDS),
            load="a small file by TCP, client and server on one CPU",
            quantities=report.QUANTITIES,
            order=partial(order, edges),
        )
        measured = run(
            experiment, replace(how, seconds=_WINDOW_S, blocks=len(course.blocks(edges))), progress
        )
    versions = [f"{rung.name}: {rung.version()}" for rung in beside if rung.program]
    text, found = _report(measured, climb.usable(edges), climb, versions)
    kept, windows = {**fields(measured), "ladder": found}, measured.windows
    return Outcome("ladder", plan, None, text, measured.exit_code, (), kept, {}, windows)


def order(edges: Sequence[Edge], _: Sequence[str], seed: int) -> Iterator[tuple[str, ...]]:
    """Give block after block: places there and back, in either sense; pure."""
    rng, blocks = random.Random(seed), course.blocks(edges)
    while True:
        for places in rng.sample(blocks, len(blocks)):
            way = places[:: rng.choice((1, -1))]
            forth = [arm(place, kind) for place in way for kind in KINDS]
            yield (*forth, *reversed(forth))


@dataclass
class Climb:
    """The places of a ladder, what proved them, and why some are left out."""

    places: Mapping[str, Make]
    progress: Progress
    left_out: dict[str, str]  # by place
    seconds: float  # of a window
    proofs: dict[str, str] = field(default_factory=dict)  # by rung

    def survey(self) -> None:
        """Set each place up once: one that does not come up, or is not proved, is left out."""
        for name, make in self.places.items():
            with self._leaving_out(name), make(name) as place:
                self.proofs |= place.prove()

    @contextmanager
    def stage(self) -> Iterator[Sequence[Arm]]:
        """Set all places up, and prove each before and after it is measured."""
        with ExitStack() as stack:
            usable = {name: make for name, make in self.places.items() if name not in self.left_out}
            up = [stack.enter_context(make(name)) for name, make in usable.items()]
            self.prove(up)
            yield [
                Arm(
                    arm(place.name, kind),
                    partial(place.run, kind, self.seconds),
                    during=partial(nullcontext, place.parts),
                )
                for place in up
                for kind in KINDS
            ]
            self.prove(up)

    def prove(self, up: Sequence[LadderPlace]) -> None:
        """Prove places; the rungs of one that fails are no rows."""
        for place in up:
            with self._leaving_out(place.name):
                self.proofs |= place.prove()

    @contextmanager
    def _leaving_out(self, name: str) -> Iterator[None]:
        """Note a place that does not come up, or is not what it says, and go on."""
        try:
            yield
        except (TwinstackError, OSError) as error:
            self.progress(f"left out: {error}")
            self.left_out.setdefault(name, str(error))

    def usable(self, edges: Sequence[Edge]) -> list[Edge]:
        """Give the rungs with both ends proved; the whole first, unless a rung of it is missing."""
        good = [edge for edge in edges if not {edge.upper, edge.lower} & self.left_out.keys()]
        complete = set(course.edges()) <= set(good)
        return [*([WHOLE] if complete else []), *(edge for edge in good if edge != WHOLE)]


def _report(
    measured: Measured, edges: Sequence[Edge], climb: Climb, versions: Sequence[str]
) -> tuple[str, dict[str, object]]:
    """Write what was found, and give its fields."""
    how_measured = (
        f"{measured.load}; {measured.deployments} deployments, each way in blocks from end to end "
        f"and back, the whole in blocks of its own, windows of {measured.design.seconds:g} s, seed "
        f"{measured.seed}; {measured.stopped} after {measured.seconds / 60:.1f} min. Up, a rung is "
        "added to those before it; down, taken from those that are left. ±: half of the 95 % "
        "interval over deployments. Time: of a request in the median batch of ten. Proof: what "
        "moved, per request; or a state."
    )
    opening = [how_measured, *([f"INTERRUPTED: {measured.broken}"] if measured.broken else [])]
    opening += [f"No figures: {measured.undecidable}."] if measured.undecidable else []
    notes = [f"{name}: not measured: {why}" for name, why in climb.left_out.items()]
    found: dict[str, object] = {"left_out": climb.left_out, "versions": versions}
    parts = [wrap(*opening)]
    if not measured.undecidable:
        climbed = report.Climbed(measured, edges, climb.proofs)
        parts += report.tables(climbed)
        found |= report.fields(climbed)
    return "\n\n".join(filter(None, [*parts, wrap(*notes, *versions)])), found
