"""Several captures as one stream in the order of time; none is read further than it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from twinstack.observe.traffic.packets import Packets, concatenate

Source = Iterator[Packets]


@dataclass(slots=True)
class _Open:
    """A source and what of it waits; `until_ns` is the latest time that waits."""

    source: Source
    waiting: Packets | None = None
    until_ns: int = 0

    def fill(self) -> bool:
        """Have something waiting; False when the source has ended."""
        while self.waiting is None or not len(self.waiting):
            packets = next(self.source, None)
            if packets is None:
                return False
            self.waiting = packets
            self.until_ns = int(packets.time_ns.max()) if len(packets) else 0
        return True

    def take(self, until_ns: int) -> Packets | None:
        """Take what is no later."""
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
    """Give packets of all sources, sorted by time within each batch and, where every source is
    sorted, over all. A source, given with the time it begins at, is opened when all that are open
    have got past that, or ended.
    """
    ahead = sorted(sources, key=lambda one: one[0])[::-1]
    opened: list[_Open] = []
    while ahead or opened:
        if not opened:
            opened.append(_Open(ahead.pop()[1]()))
        opened = [one for one in opened if one.fill()]
        if not opened:
            continue
        until_ns = min(one.until_ns for one in opened)
        if ahead and ahead[-1][0] < until_ns:
            opened.append(_Open(ahead.pop()[1]()))
            continue
        parts = [taken for one in opened if (taken := one.take(until_ns)) is not None]
        packets = concatenate(parts)
        if len(parts) > 1 or bool((packets.time_ns[1:] < packets.time_ns[:-1]).any()):
            packets = packets.take(np.argsort(packets.time_ns, kind="stable"))
        yield packets
