"""Merge several captures into one stream in the order of time; none is read further than needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from twinstack.observe.traffic.packets import Packets

Source = Iterator[Packets]


@dataclass(slots=True)
class _OpenSource:
    """A source, and what was read of it and not yet passed on."""

    source: Source
    waiting: Packets | None = None
    until_ns: int = 0  # the latest time that waits

    def fill(self) -> bool:
        """Read until something waits; False at the end of the source."""
        while self.waiting is None or not len(self.waiting):
            packets = next(self.source, None)
            if packets is None:
                return False
            self.waiting = packets
            self.until_ns = int(packets.time_ns.max()) if len(packets) else 0
        return True

    def take(self, until_ns: int) -> Packets | None:
        """Take the packets up to this time."""
        assert self.waiting is not None
        if self.until_ns <= until_ns:
            taken, self.waiting = self.waiting, None
            return taken
        early = self.waiting.time_ns <= until_ns
        if not early.any():
            return None
        taken, self.waiting = self.waiting.take(early), self.waiting.take(~early)
        return taken


def merged(sources: Sequence[tuple[int, Callable[[], Source]]]) -> Iterator[Packets]:
    """Yield the packets of all sources: sorted by time within each batch and, if every source is
    sorted, over all. Each source comes with the time of its first packet, and is opened when all
    open ones are past that time or at their end.
    """
    ahead = sorted(sources, key=lambda source: source[0])[::-1]
    opened: list[_OpenSource] = []
    while ahead or opened:
        if not opened:
            opened.append(_OpenSource(ahead.pop()[1]()))
        opened = [source for source in opened if source.fill()]
        if not opened:
            continue
        until_ns = min(source.until_ns for source in opened)
        if ahead and ahead[-1][0] < until_ns:
            opened.append(_OpenSource(ahead.pop()[1]()))
            continue
        parts = [taken for source in opened if (taken := source.take(until_ns)) is not None]
        packets = Packets.join(parts)
        if len(parts) > 1 or bool((packets.time_ns[1:] < packets.time_ns[:-1]).any()):
            packets = packets.take(np.argsort(packets.time_ns, kind="stable"))
        yield packets
