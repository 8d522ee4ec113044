"""The task that says why a connection passes or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from front.options import require_writable, up_among, worlds_of
from front.reporting import answer, task
from twinstack import stack
from twinstack.errors import NOT_SO, NOTHING, Missing, WrongUse
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no world
    from twinstack.observe.why.explanation import Explanation


@task(
    positional=["source", "destination"],
    help={
        "world": "the world to use: net, docker, both (those that are up) or overlay",
        "source": "a service or replica, host (this machine), outside (a machine beyond it) or, in"
        " the overlay, a host: host-1",
        "destination": "a service or replica, host, localhost or an address; :PORT where it is not"
        " the service's own",
        "protocol": "tcp, udp or ping",
        "svg": "also write a picture of its hops to this file",
    },
)
def why(
    _: Context,
    source: str,
    destination: str,
    world: str = "both",
    protocol: str = "tcp",
    svg: str = "",
    json: bool = False,
) -> None:
    """Try one connection and say why it passes or not: its hops, the rules, the cause, the fix."""
    from twinstack.observe.why import explanation
    from twinstack.observe.why.picture import picture
    from twinstack.observe.why.text import text

    if world != "overlay":
        worlds_of(world)
    require_writable(svg)
    require_root("why")
    ends = source, destination, protocol
    found = _across(*ends) if world == "overlay" else _in_worlds(world, *ends)
    if svg:
        Path(svg).write_text(picture(found), encoding="utf-8")
    code = 0 if all(each.passes for each in found) else NOT_SO
    if not all(each.is_known for each in found):
        code = NOTHING
    answer(json, explanation.Explanations(tuple(found)), "\n\n".join(map(text, found)), code)


def _in_worlds(world: str, *ends: str) -> list[Explanation]:
    """Ask in the chosen worlds that are up, and have these ends. Raises: WrongUse, Missing."""
    from twinstack.observe.why import explanation
    from twinstack.observe.why.gather import gather
    from twinstack.observe.why.question import parse

    questions, refusals = [], []
    for observed in up_among(world, "why", "has nothing to try"):
        try:
            questions.append((observed, parse(observed.plan, observed.name, *ends)))
        except WrongUse as refusal:  # a published port, or a replica, of the other world
            refusals.append(refusal)
    if not questions:
        raise refusals[0]
    return [explanation.explain(gather(*question)) for question in questions]


def _across(*ends: str) -> list[Explanation]:
    """Ask in the overlay of simulated hosts. Raises: Missing where none is up; WrongUse."""
    from twinstack.overlay import record, why

    here = stack.from_environment()
    if record.read(here.instance) is None:
        cause = "no overlay of simulated hosts is up; machines by ssh cannot be asked yet"
        raise Missing("why", "has nothing to try", cause, 'run "invoke overlay.up"')
    return [why.ask(here.overlay(), *ends)]
