"""Say whether a repair is whole: the symptom is gone, all is as declared, and nothing else changed.

Any repair passes of which that is true.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from twinstack.drill import snapshot
from twinstack.drill.difference import Difference, differences
from twinstack.drill.drill import Drill
from twinstack.drill.ground import AnyWorld, SpreadWorld, site_of
from twinstack.drill.under_way import POLL_S, drill_of, drilling, put_of, sound_within
from twinstack.errors import CannotTell, TwinstackError
from twinstack.faults import drill_record as record
from twinstack.faults.drill_record import Underway
from twinstack.linux.waiting import until
from twinstack.overlay.verify import verdicts
from twinstack.policy.verdict import CellResult, PolicyVerdict
from twinstack.policy.verify import verify
from twinstack.printable import counted
from twinstack.world import LocalWorld, ServiceState

if TYPE_CHECKING:
    from twinstack.compose.world import DockerWorld
    from twinstack.policy.verdict import Enforcement

_MOST_LINES = 6
#: How long a repair may take to be felt. Units: seconds.
FELT_WITHIN_S = 8.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a repair. Units: seconds since the drill was put."""

    drill: str
    solved: bool
    symptom_gone: bool
    findings: tuple[str, ...]  # what is not as it must be
    strangers: tuple[str, ...]  # what changed of others' things: not judged
    seconds: float
    hints: int
    points: int

    sentence: str  # all of it in one line


def sentence_of(underway: Underway, gone: bool, findings: Sequence[str], seconds: float) -> str:
    """Say in one line what became of a repair; pure."""
    if findings:
        return f"{'the symptom is gone, but ' if gone else ''}{findings[0]}"
    if underway.shown:
        return "solved as it was shown: 0 points"
    hints = f" with {counted(underway.hints, 'hint')}" if underway.hints else ""
    return f"solved in {duration(seconds)}{hints}: {counted(underway.points, 'point')}"


def duration(seconds: float) -> str:
    """Write a time in minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def check(world: AnyWorld, *, within_s: float = FELT_WITHIN_S) -> Checked:
    """Look whether the drill of a world is repaired; if so it is over.

    Raises: Missing when none is under way; TwinstackError when its start was killed.
    """
    instance = world.plan.instance
    with drilling(instance):
        underway = put_of(instance)
        drill = drill_of(underway)
        gone, findings, strangers = _judged(world, drill, underway, within_s)
        seconds = round(time.time() - underway.started, 1)
        if findings:
            record.write(instance, replace(underway, checks=underway.checks + 1))
        else:
            record.close(instance, underway, "shown" if underway.shown else "solved")
        return Checked(
            drill.name,
            not findings,
            gone,
            findings,
            strangers,
            seconds,
            underway.hints,
            0 if findings else underway.points,
            sentence_of(underway, gone, findings, seconds),
        )


def _judged(
    world: AnyWorld, drill: Drill, underway: Underway, within_s: float
) -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
    """Give whether the symptom is gone, what is not as it must be, and what strangers lost."""
    if not sound_within(world, drill, underway.target, within_s):
        return False, (f"still: {site_of(world, underway.target).written(drill.symptom)}",), ()
    found: list[str] = []
    strangers: list[str] = []
    try:
        found += _unhealthy(world, within_s)
        found += _pending(world)
        unlike = _unlike(world)
        strangers += (str(each) for each in unlike if not each.ours)
        found += _unwanted_flows(world)
        found += (str(each) for each in unlike if each.ours)
    except TwinstackError as error:  # what cannot be looked at is not as it must be
        found.append(str(error))
    return True, tuple(dict.fromkeys(found)), tuple(strangers)


def _unhealthy(world: AnyWorld, within_s: float) -> Iterator[str]:
    """Say which replicas do not become healthy in time; the last look counts."""
    states: list[ServiceState] = []

    def healthy() -> bool:
        states[:] = [state for state in world.status() if state.state != "healthy"]
        return not states

    until(healthy, within_s, POLL_S)
    yield from (f"{state.name} is {state.state}" for state in states)


def _pending(world: AnyWorld) -> Iterator[str]:
    preview = world.preview()
    if preview.refused:
        yield preview.refused
    for change in preview.changes[:_MOST_LINES]:
        yield f"{change.step.name} {change.reason}"


def _unlike(world: AnyWorld) -> tuple[Difference, ...]:
    before = snapshot.read_before(world.plan.instance)
    if before is None:
        cause = "what was noted of it is gone"
        raise CannotTell("the world before the drill", "cannot be compared", cause)
    after = snapshot.take(world, before)
    return differences(before, after, snapshot.scope_of(world, after.links))


def _unwanted_flows(world: AnyWorld) -> Iterator[str]:
    """Ask the whole truth table. Raises: CannotTell, StepFailed."""
    if isinstance(world, SpreadWorld):
        for verdict in verdicts(world.overlay).values():
            yield from flow_sentences(verdict)
    else:
        yield from flow_sentences(verify(world.plan, _enforcement(world)))


def flow_sentences(verdict: PolicyVerdict) -> Iterator[str]:
    """Say which flows are not as declared, by replicas: the first few of them. Pure."""
    sentences = list(dict.fromkeys(map(_flow_sentence, verdict.wrong)))
    yield from sentences[:_MOST_LINES]
    if len(sentences) > _MOST_LINES:
        yield f"{counted(len(sentences) - _MOST_LINES, 'more flow')} not as declared"
    for bridge in verdict.unfiltered_bridges:
        yield f"frames on {bridge} bypass iptables"


def _flow_sentence(result: CellResult) -> str:
    cell = result.cell
    verb = "can now reach" if result.open else "can no longer reach"
    target = f":{cell.port}" if cell.port else f" by {cell.protocol}"
    return f"{cell.source} {verb} {cell.destination}{target}"


def _enforcement(world: LocalWorld) -> Enforcement:
    if world.name == "net":
        from twinstack.namespaces import policy

        return policy.enforcement(world.plan)
    from twinstack.compose import apply_policy
    from twinstack.compose.engine import connect

    engine_paths = cast("DockerWorld", world).engine
    return apply_policy.enforcement(world.plan, connect(engine_paths), engine_paths)
