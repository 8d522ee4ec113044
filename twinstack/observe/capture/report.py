"""What became of a capture: as data, and as text. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from twinstack.model.topology import WorldName
from twinstack.observe.table import size
from twinstack.printable import counted


@dataclass(frozen=True, slots=True)
class LinkCapture:
    """What became of one link."""

    link: str
    kind: str
    packets: int  # written, as tshark counts them
    bytes: int  # on the wire, of these
    dropped: int  # the kernel had no room for them
    discarded: int  # in files that rotation removed
    unkept: int  # came when nothing could be written
    unkept_because: str
    failed: str  # why the link's capture ended early
    files: tuple[str, ...]  # those that rotation left


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """A whole capture."""

    folder: str
    seconds: float
    interrupted: bool  # by a signal, before its time was up
    links: tuple[LinkCapture, ...]
    world: WorldName | None = None


def text(result: CaptureResult) -> str:
    """Write a row for each link, and what was lost."""
    width = max(len(link.link) for link in result.links)
    lines = [f"{'link':<{width}}  {'packets':>10}  {'bytes':>8}  {'dropped':>8}"]
    for link in result.links:
        counts = f"{link.packets:>10,}  {size(link.bytes):>8}  {link.dropped:>8,}"
        lines.append(f"{link.link:<{width}}  {counts}{_remarks(link)}")
    packets = sum(link.packets for link in result.links)
    files = sum(len(link.files) for link in result.links)
    stopped = ", stopped" if result.interrupted else ""
    lines.append(
        f"{counted(packets, 'packet')} in {result.seconds:.1f} s{stopped}; "
        f"{counted(files, 'file')} in {result.folder}"
    )
    if dropped := sum(link.dropped for link in result.links):
        lines.append(
            f"! the kernel had no room for {counted(dropped, 'more packet')}: capture fewer links, "
            "or less of each packet"
        )
    return "\n".join(lines)


def _remarks(link: LinkCapture) -> str:
    remarks = []
    if link.discarded:
        remarks.append(f"{link.discarded:,} in files removed since")
    if link.unkept:
        remarks.append(f"{link.unkept:,} came when {link.unkept_because}")
    if link.failed:
        remarks.append(link.failed)
    return f"  ({'; '.join(remarks)})" if remarks else ""
