"""The task that says why a connection passes or not."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from front.options import EITHER, require_writable, up_among, worlds_of
from front.reporting import answer, task
from twinstack.errors import NOT_SO, NOTHING, WrongUse
from twinstack.world import require_root


@task(
    positional=["source", "destination"],
    help={
        **EITHER,
        "source": "a service or replica, host (this machine) or outside (a machine beyond it)",
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
    from twinstack.observe.why.gather import gather
    from twinstack.observe.why.picture import picture
    from twinstack.observe.why.question import parse
    from twinstack.observe.why.text import text

    worlds_of(world)
    require_writable(svg)
    require_root("why")
    ends = source, destination, protocol
    questions, refusals = [], []
    for observed in up_among(world, "why", "has nothing to try"):
        try:
            questions.append((observed, parse(observed.plan, observed.name, *ends)))
        except WrongUse as refusal:  # a published port, or a replica, of the other world
            refusals.append(refusal)
    if not questions:
        raise refusals[0]
    found = [explanation.explain(gather(*question)) for question in questions]
    if svg:
        Path(svg).write_text(picture(found), encoding="utf-8")
    code = 0 if all(each.passes for each in found) else NOT_SO
    if not all(each.is_known for each in found):
        code = NOTHING
    answer(json, explanation.Explanations(tuple(found)), "\n\n".join(map(text, found)), code)
