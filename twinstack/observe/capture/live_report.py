"""A live capture that ends as a traffic report: its files are gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from twinstack.linux import child
from twinstack.linux.links import own_addresses
from twinstack.model.plan import Plan
from twinstack.observe.capture.record import capture_groups
from twinstack.observe.capture.report import CaptureResult
from twinstack.observe.capture.targets import CaptureOptions
from twinstack.observe.traffic.analysis import analyse
from twinstack.observe.traffic.peers import PeerDirectory
from twinstack.observe.traffic.report import TrafficReport
from twinstack.printable import counted
from twinstack.reconcile import Progress
from twinstack.world import Link

#: Bytes of a packet: enough for headers and the first line of an HTTP request.
SNAP = 256


def live_report(
    links: Sequence[Link], plans: Sequence[Plan], seconds: float, progress: Progress
) -> TrafficReport:
    """Capture links for a while, and report that. Raises: as `live_reports`."""
    (report,) = live_reports([links], plans, seconds, progress)
    return report


def live_reports(
    groups: Sequence[Sequence[Link]], plans: Sequence[Plan], seconds: float, progress: Progress
) -> tuple[TrafficReport, ...]:
    """Capture groups of links at once into a temporary folder, and report on each.

    Ctrl-C ends the capture early; notes say so, and what the capture lost. Raises: as `capture`.
    """
    with tempfile.TemporaryDirectory(prefix="twinstack-traffic-") as parent:
        options = CaptureOptions(seconds=seconds, snap=SNAP, size=1_000_000_000, files=1)
        folders = [(links, Path(parent) / str(number)) for number, links in enumerate(groups)]
        results = capture_groups(folders, options, progress=progress)
        return tuple(
            _report(links, result, plans, options)
            for links, result in zip(groups, results, strict=True)
        )


def _report(
    links: Sequence[Link], result: CaptureResult, plans: Sequence[Plan], options: CaptureOptions
) -> TrafficReport:
    peers = PeerDirectory(plans, _host_addresses(links))
    report = analyse([Path(name) for link in result.links for name in link.files], peers)
    notes = (*_losses(result, options), *report.notes)
    return replace(report, files=(), notes=notes)


def _losses(result: CaptureResult, options: CaptureOptions) -> Iterator[str]:
    """List what the report lacks; the kernel's drops are among its interfaces."""
    if result.interrupted:
        yield f"stopped after {result.seconds:.1f} s of {options.seconds:g} s"
    for link in result.links:
        if link.failed:
            yield f"{link.link}: {link.failed}"
        if link.unkept:
            yield f"{link.link}: {counted(link.unkept, 'packet')} came when {link.unkept_because}"


def _host_addresses(links: Sequence[Link]) -> Iterator[IPv4Address | IPv6Address]:
    """List the addresses of the host that holds the bridges. Raises: StepFailed."""
    for namespace in sorted({link.namespace for link in links if link.kind != "inside"}):
        where = Path(namespace) if namespace else None
        yield from child.inside("host", where, own_addresses)
