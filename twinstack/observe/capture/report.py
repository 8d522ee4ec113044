"""What became of a capture: data only."""

from __future__ import annotations

from dataclasses import dataclass


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
