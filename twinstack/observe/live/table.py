"""Samples as a table in the terminal, drawn anew as they come."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from twinstack.model.topology import WorldName
from twinstack.observe.live import text as words
from twinstack.observe.live.feed import Feed, Latest
from twinstack.printable import visible

_STYLES = {"up": "green", "degraded": "yellow", "down": "bold red", "absent": "dim"}
_EVENTS = 6


def picture(
    documents: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]] = ()
) -> RenderableType:
    """Draw worlds under each other, and what happened last."""
    parts: list[RenderableType] = []
    for one in documents:
        parts += [Text(""), _world(one)] if parts else [_world(one)]
    parts += [Text("")] if events else []
    for event in list(events)[-_EVENTS:]:
        when = time.strftime("%H:%M:%S", time.localtime(event["at"]))
        style = "green" if event["good"] else "red"
        who = visible(f"{event['world']} {event['replica']}".rstrip()) + ": "
        parts.append(Text.assemble((f"{when} ", "dim"), who, (visible(event["text"]), style)))
    return Group(*parts)


def _world(one: Mapping[str, Any]) -> RenderableType:
    if one["trouble"]:
        return Text.assemble((one["world"], "bold"), f" cannot be told: {visible(one['trouble'])}")
    if not one["up"]:
        why = f'run "invoke {one["world"]}.up"'
        return Text.assemble((one["world"], "bold"), f" is not up; {why}")
    table = Table(
        title=_title(one),
        title_justify="left",
        box=None,
        pad_edge=False,
        title_style="",
        header_style="dim",
    )
    for name, justify in (
        ("service", "left"),
        ("state", "left"),
        ("req/s", "right"),
        ("mean", "right"),
        ("probe", "right"),
        ("CPU", "right"),
        ("memory", "right"),
        ("of limit", "right"),
    ):
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    for replica in one["replicas"]:
        rate, mean_ms = into(one["edges"], replica["name"])
        state = replica["state"]
        table.add_row(
            replica["name"],
            Text(f"{words.SIGNS[state]} {state}", style=_STYLES[state]),
            words.rate(rate),
            words.milliseconds(mean_ms),
            words.milliseconds(replica["took_ms"]),
            words.part(replica["cpus"], replica["cpu_limit"]),
            words.size(replica["memory_bytes"]),
            words.part(replica["memory_bytes"], replica["memory_limit"]),
        )
    # A column for it would take the width of all the others, just when those are wanted.
    return Group(table, *map(_why, filter(itemgetter("detail"), one["replicas"])))


def _why(replica: Mapping[str, Any]) -> Text:
    state = replica["state"]
    return Text(
        f"{words.SIGNS[state]} {replica['name']}: {visible(replica['detail'])}",
        style=_STYLES[state],
        no_wrap=True,
        overflow="ellipsis",
    )


def into(edges: Sequence[Mapping[str, Any]], name: str) -> tuple[float | None, float | None]:
    """Add up what goes into a replica: requests per second, and their mean in milliseconds."""
    mine = [one for one in edges if one["destination"] == name and one["rate"] is not None]
    if not mine:
        return None, None
    rate = sum(one["rate"] for one in mine)
    timed = [one for one in mine if one["mean_ms"] is not None]
    weight = sum(one["rate"] for one in timed)
    mean_ms = sum(one["rate"] * one["mean_ms"] for one in timed) / weight if weight else None
    return rate, mean_ms


def _title(one: Mapping[str, Any]) -> Text:
    tracked = "–" if one["conntrack"] is None else f"{one['conntrack']:,}"
    return Text.assemble(
        (one["world"], "bold"),
        f" ({one['shape']}): {words.rate(one['rate'])} req/s, mean ",
        f"{words.milliseconds(one['mean_ms'])}, {tracked} connections tracked",
    )


def text(documents: Sequence[Mapping[str, Any]], width: int) -> str:
    """Write it as plain text."""
    console = Console(width=width, no_color=True, highlight=False, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(documents))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip()


def fitting(
    console: Console, documents: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]
) -> RenderableType:
    """Draw worlds, and as much of what happened as there is room for below them."""
    # Live cuts at the bottom of the terminal: an event more would cost a service its line.
    room = console.height - len(console.render_lines(picture(documents))) - 1
    return picture(documents, list(events)[-room:] if room > 0 else ())


def show(feed: Feed) -> None:
    """Draw until Ctrl-C, which is how it ends. Raises: KeyboardInterrupt, if nothing was drawn."""
    seen: dict[WorldName, int] = {}
    with Live(auto_refresh=False, screen=False, transient=False) as live:
        try:
            while not feed.ended:
                found: Mapping[WorldName, Latest] = feed.after(seen, 1.0)
                seen |= {name: one.number for name, one in found.items()}
                documents = [one.document for one in feed.latest().values()]
                drawn = fitting(live.console, documents, feed.history()["events"])
                live.update(drawn, refresh=True)
        except KeyboardInterrupt:
            if not seen:  # nothing was drawn, so nothing can be told by the exit code
                raise
