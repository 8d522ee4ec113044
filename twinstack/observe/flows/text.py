"""A flow as it is printed: one line, or a JSON document. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.flows.flow import FlowEnd, FlowVerdict, ObservedFlow
from twinstack.observe.logs.line import written
from twinstack.observe.table import size
from twinstack.printable import cut


@dataclass(frozen=True, slots=True)
class FlowDocument:
    """A flow as a JSON document; what is not known is null."""

    time: str | None  # 2026-11-29T10:00:00.123Z
    world: WorldName
    source: FlowEnd
    destination: FlowEnd
    protocol: str
    port: int
    verdict: FlowVerdict
    rule: str
    bytes: int | None


def document(flow: ObservedFlow) -> FlowDocument:
    """Give a flow as a JSON document."""
    return FlowDocument(
        None if flow.time is None else written(flow.time),
        flow.world,
        flow.source,
        flow.destination,
        flow.protocol,
        flow.port,
        flow.verdict,
        flow.rule,
        flow.transferred,
    )


def name_width(plans: Iterable[Plan]) -> int:
    """Give how wide the longest name is: a replica's, or an IPv4 address."""
    names = {replica.name for plan in plans for replica in plan.replicas}
    return max(map(len, names | {"255.255.255.255"}))


def line(flow: ObservedFlow, now: float, names: int, width: int | None) -> str:
    """Write a flow as a line. Units: columns; width None: as long as it becomes.

    The rule comes last, so a narrow terminal cuts it first; the names are never cut.
    """
    ends = f"{flow.source.name:<{names}} → {flow.destination.name:<{names}}"
    port = f"{flow.protocol}/{flow.port}" if flow.port else flow.protocol
    counted = "" if flow.transferred is None else f"  {size(flow.transferred)}"
    head = f"{_clock(flow.time, now)}  {flow.world:<6}  {ends}  {port:<8}  {flow.verdict}"
    whole = f"{head}{counted}  {flow.rule}"
    return whole if width is None else cut(whole, max(width, len(head)))


def _clock(time: float | None, now: float) -> str:
    """Write a moment of today by its time, an older one by its date; UTC, 12 characters."""
    if time is None:
        return f"{'–':<12}"
    read = datetime.fromtimestamp(time, UTC)
    if read.date() == datetime.fromtimestamp(now, UTC).date():
        return read.strftime("%H:%M:%S.") + f"{read.microsecond // 1000:03}"
    return f"{read:%Y-%m-%d}  "
