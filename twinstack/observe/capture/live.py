"""What a live capture caught as text, and a live capture that ends as a report."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from twinstack.linux import child
from twinstack.linux.process import run
from twinstack.model.plan import Plan
from twinstack.observe.capture.record import CaptureResult, LinkCapture, capture
from twinstack.observe.capture.targets import CaptureOptions
from twinstack.observe.traffic.analysis import analyse
from twinstack.observe.traffic.peers import PeerDirectory
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.sections import size
from twinstack.reconcile import Progress
from twinstack.world import Link

#: Of a packet: enough for headers and the first line of an HTTP request.
SNAP = 256


def text(found: CaptureResult) -> str:
    """Write a row for each link, and what was lost."""
    width = max(len(one.link) for one in found.links)
    lines = [f"{'link':<{width}}  {'packets':>10}  {'bytes':>8}  {'dropped':>8}"]
    for one in found.links:
        lines.append(
            f"{one.link:<{width}}  {one.packets:>10,}  {size(one.bytes):>8}  "
            f"{one.dropped:>8,}{_beside(one)}"
        )
    packets = sum(one.packets for one in found.links)
    files = [name for one in found.links for name in one.files]
    stopped = ", stopped" if found.interrupted else ""
    lines.append(
        f"{packets:,} packets in {found.seconds:.1f} s{stopped}; "
        f"{len(files)} file{'s' * (len(files) != 1)} in {found.folder}"
    )
    dropped = sum(one.dropped for one in found.links)
    if dropped:
        lines.append(
            f"! the kernel had no room for {dropped:,} more packets: capture fewer links, "
            "or less of each packet"
        )
    return "\n".join(lines)


def _beside(one: LinkCapture) -> str:
    said = []
    if one.discarded:
        said.append(f"{one.discarded:,} in files removed since")
    if one.unkept:
        said.append(f"{one.unkept:,} came when {one.unkept_because}")
    if one.failed:
        said.append(one.failed)
    return f"  ({'; '.join(said)})" if said else ""


def listened(
    links: Sequence[Link], plans: Sequence[Plan], seconds: float, progress: Progress
) -> TrafficReport:
    """Capture for a while into a folder that goes again, and report it.

    Raises: as `capture`; Ctrl-C ends the capture early, and what was caught is reported. Notes
    say so, and what the capture lost.
    """
    with tempfile.TemporaryDirectory(prefix="twinstack-traffic-") as folder:
        wanted = CaptureOptions(seconds=seconds, snap=SNAP, size=1_000_000_000, files=1)
        caught = capture(links, Path(folder), wanted, progress=progress)
        names = PeerDirectory(plans, host_addresses(links))
        files = [Path(name) for one in caught.links for name in one.files]
        found = analyse(files, names)
        # Its files are gone when it is read.
        return replace(found, files=(), notes=(*_lost(caught, wanted), *found.notes))


def _lost(caught: CaptureResult, wanted: CaptureOptions) -> Iterator[str]:
    """Say what a report lacks; what the kernel dropped is among its interfaces."""
    if caught.interrupted:
        yield f"stopped after {caught.seconds:.1f} s of {wanted.seconds:g} s"
    for one in caught.links:
        if one.failed:
            yield f"{one.link}: {one.failed}"
        if one.unkept:
            yield f"{one.link}: {one.unkept:,} packets came when {one.unkept_because}"


def host_addresses(links: Sequence[Link]) -> tuple[IPv4Address | IPv6Address, ...]:
    """List the addresses of the host that holds the bridges. Raises: StepFailed."""
    namespaces = {one.namespace for one in links if one.kind != "inside"}
    found: list[IPv4Address | IPv6Address] = []
    for namespace in sorted(namespaces):
        where = Path(namespace) if namespace else child.OWN
        told = run(["nsenter", f"--net={where}", "ip", "-j", "address", "show"]).stdout
        found += [
            ip_address(address["local"])
            for link in json.loads(told or "[]")
            for address in link.get("addr_info", ())
            if address.get("scope") == "global"
        ]
    return tuple(found)
