"""Samples in the terminal: a table for each world, redrawn as samples come, and the exit code."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from twinstack.model.topology import WorldName
from twinstack.observe.live.feed import Feed
from twinstack.observe.live.model import EdgeSample
from twinstack.observe.live.samples import mean_ms, sum_known
from twinstack.observe.table import size
from twinstack.printable import visible

#: A state's sign and style: a word and a shape beside the colour.
_SIGNS = {
    "up": ("●", "green"),
    "degraded": ("▲", "yellow"),
    "down": ("■", "bold red"),
    "absent": ("○", "dim"),
}
_COLUMNS = ("service", "state", "req/s", "mean", "probe", "CPU", "memory", "of limit")
#: A list that is printed once keeps its names whole. Units: columns of the terminal.
_LEAST_WIDTH = 80
_UNKNOWN = "–"
_EVENTS = 6
Document = Mapping[str, Any]  # a WorldSample as JSON


def exit_code(documents: Sequence[Document]) -> int:
    """Judge worlds, except those not up: 0 all up, 1 something is down, 2 nothing is or unknown."""
    states = {one["state"] for world in documents if world["up"] for one in world["replicas"]}
    if not states & {"up", "degraded"}:
        return 2
    if states & {"down", "absent"}:
        return 1
    return 2 if any(world["trouble"] for world in documents) else 0


def render(documents: Sequence[Document], events: Sequence[Document] = ()) -> RenderableType:
    """Draw worlds below each other, and the latest events."""
    parts: list[RenderableType] = []
    for document in documents:
        parts += [Text(""), _world(document)] if parts else [_world(document)]
    parts += [Text("")] if events else []
    for event in list(events)[-_EVENTS:]:
        when = time.strftime("%H:%M:%S", time.localtime(event["at"]))
        subject = visible(f"{event['world']} {event['replica']}".rstrip()) + ": "
        style = "green" if event["good"] else "red"
        parts.append(Text.assemble((f"{when} ", "dim"), subject, (visible(event["text"]), style)))
    return Group(*parts)


def _world(document: Document) -> RenderableType:
    name = document["world"]
    if document["trouble"]:
        return Text.assemble((name, "bold"), f" is unknown: {visible(document['trouble'])}")
    if not document["up"]:
        return Text.assemble((name, "bold"), f' is not up; run "invoke {name}.up"')
    tracked = _UNKNOWN if document["conntrack"] is None else f"{document['conntrack']:,}"
    title = Text.assemble(
        (name, "bold"),
        f" ({document['shape']}): {rate(document['rate'])} req/s, mean "
        f"{milliseconds(document['mean_ms'])}, {tracked} connections tracked by the host",
    )
    table = Table(
        title=title,
        title_justify="left",
        title_style="",
        header_style="dim",
        box=None,
        pad_edge=False,
    )
    for column, heading in enumerate(_COLUMNS):
        table.add_column(heading, justify="left" if column < 2 else "right", no_wrap=True)
    edges = [EdgeSample(**edge) for edge in document["edges"]]
    for replica in document["replicas"]:
        into = [edge for edge in edges if edge.destination == replica["name"]]
        sign, style = _SIGNS[replica["state"]]
        memory = replica["memory_bytes"]
        table.add_row(
            replica["name"],
            Text(f"{sign} {replica['state']}", style=style),
            rate(sum_known(edge.rate for edge in into)),
            milliseconds(mean_ms(into)),
            milliseconds(replica["took_ms"]),
            percent(replica["cpus"], replica["cpu_limit"]),
            _UNKNOWN if memory is None else size(memory),
            percent(memory, replica["memory_limit"]),
        )
    # Below the table: a column of details would take the width of all the others.
    parts: list[RenderableType] = [table]
    for replica in document["replicas"]:
        if replica["detail"]:
            sign, style = _SIGNS[replica["state"]]
            line = f"{sign} {replica['name']}: {visible(replica['detail'])}"
            parts.append(Text(line, style=style, no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def rate(value: float | None) -> str:
    """Write a number of requests per second."""
    if value is None:
        return _UNKNOWN
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def milliseconds(value: float | None) -> str:
    """Write a time."""
    if value is None:
        return _UNKNOWN
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def percent(value: float | None, limit: float | None) -> str:
    """Write how much of a limit is used."""
    if value is None:
        return _UNKNOWN
    return f"{value / limit:.0%}" if limit else "no limit"


def text(documents: Sequence[Document], width: int) -> str:
    """Write worlds as plain text."""
    columns = max(width, _LEAST_WIDTH)
    console = Console(width=columns, no_color=True, highlight=False, force_terminal=False)
    with console.capture() as capture:
        console.print(render(documents))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip()


def fitting(
    console: Console, documents: Sequence[Document], events: Sequence[Document]
) -> RenderableType:
    """Draw worlds, and as many events as fit below them; say what a small terminal hides."""
    # Live cuts at the bottom of the terminal: one event more would cost a service its line.
    lines, most = console.render_lines(render(documents), pad=False), console.height - 1
    if len(lines) > most:
        kept = [segment for line in lines[: most - 1] for segment in (*line, Segment.line())]
        hidden = f"… {len(lines) - most + 1} lines more: a taller terminal shows them, or --once"
        return Group(Segments(kept), Text(hidden, style="dim", no_wrap=True, overflow="ellipsis"))
    return render(documents, list(events)[-(most - len(lines)) :] if len(lines) < most else ())


def show(feed: Feed) -> None:
    """Draw until Ctrl-C. Raises: KeyboardInterrupt before the first sample, as nothing is known."""
    seen: dict[WorldName, int] = {}
    with Live(auto_refresh=False, screen=False, transient=False) as live:
        try:
            while not feed.ended:
                seen |= {name: latest.number for name, latest in feed.after(seen, 1.0).items()}
                documents = [latest.document for latest in feed.latest().values()]
                events = feed.history()["events"]
                live.update(fitting(live.console, documents, events), refresh=True)
        except KeyboardInterrupt:
            if not seen:
                raise
