"""The task that lists connections and denied packets as one list in the order of time."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke.context import Context

from front import tables
from front.options import EITHER, one_host, one_of, up_among, worlds_of
from front.reporting import as_json, say, task
from twinstack import stack
from twinstack.model import bounds
from twinstack.printable import counted
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no model
    from collections.abc import Iterable, Mapping

    from twinstack.model.plan import Plan
    from twinstack.model.topology import WorldName
    from twinstack.observe.flows.flow import FlowFilter, ObservedFlow

    Printer = Callable[[Iterable[ObservedFlow]], None]


@task(
    help={
        **EITHER,
        "from_": "only from this service or replica, host, outside, or an address",
        "to": "only to this service or replica, host, outside, or an address",
        "port": "only to this port of the destination, after NAT; 0: any",
        "verdict": "only these: allowed (a connection) or dropped (a packet); unset: both",
        "follow": "go on with what is new, denied packets too, until Ctrl-C",
        "since": "only what had a packet since then: 30s, 10m, 2h ago, or 2026-11-29T10:00:00Z",
        "last": "how many of the last connections to show",
        "json": "print each flow as one JSON document",
    }
)
def flows(
    _: Context,
    from_: str = "",
    to: str = "",
    port: int = 0,
    verdict: str = "",
    follow: bool = False,
    since: str = "",
    last: int = 50,
    world: str = "both",
    json: bool = False,
) -> None:
    """List connections by time, with the flow that allows each; --follow adds denied packets."""
    from twinstack.observe.flows import listen
    from twinstack.observe.flows.flow import VERDICTS, FlowFilter, check_end, latest
    from twinstack.observe.flows.text import name_width
    from twinstack.observe.logs.choice import since_of

    if verdict:
        one_of("verdict", verdict, VERDICTS)
    bounds.within("port", port, 0, 65_535)
    bounds.within("last", last, 1, bounds.MOST_LINES)
    here = stack.from_environment()
    known = [here.plan_of(name, policy=True) for name in worlds_of(world)]
    for name in (from_, to):
        check_end(name, known)
    chosen = FlowFilter(from_, to, port, verdict, since_of(since, time.time()))
    require_root("flows")
    worlds = up_among(world, "flows", "has nothing to show", policy=True)
    plans = {found.name: found.plan for found in worlds}
    host = one_host(worlds)
    show = _printer(chosen, name_width(plans.values()), json)
    if not follow:
        shown = listen.shown(plans, host, chosen, last)
        show(shown)
        _say_what_is_not_kept(plans, chosen, bool(shown))
        return
    batches = listen.follow(plans, host, chosen.verdicts, say)
    show(latest(filter(chosen.shows, next(batches)), last))
    for batch in batches:
        show(batch)


def _printer(chosen: FlowFilter, names: int, json: bool) -> Printer:
    """Give what prints those that are shown, each on a line."""
    from twinstack.observe.flows.text import document, line

    terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns if terminal else None
    colour = tables.coloured if terminal and not os.environ.get("NO_COLOR") else str

    def show(flows: Iterable[ObservedFlow]) -> None:
        for flow in filter(chosen.shows, flows):
            if json:
                print(as_json(document(flow)))
            else:
                print(colour(line(flow, time.time(), names, columns)))
        sys.stdout.flush()

    return show


def _say_what_is_not_kept(plans: Mapping[WorldName, Plan], chosen: FlowFilter, shown: bool) -> None:
    """Say how many packets were denied, which nobody kept."""
    from twinstack.policy.drops import denied_since_up

    if "dropped" in chosen.verdicts:
        for world, denied in denied_since_up(plans).items():
            if denied:
                packets = counted(denied, "packet was", "packets were")
                say(f"{world}: {packets} dropped since up and not kept; --follow shows new ones")
    if not shown:
        say("no connection like that is tracked")
