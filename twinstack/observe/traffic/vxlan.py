"""VXLAN carriers met: from host to host, by network identifier, at each place. Counted apart."""

from __future__ import annotations

import numpy as np

from twinstack.observe.traffic.packets import Ints, Packets, group_rows, hash_rows

_MOST = 10_000


class VxlanCarriers:
    """Counts carriers: (source, destination, VNI, place) → packets and bytes of whole frames."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, int, int, int, int, int], tuple[int, int]] = {}

    def add(self, outer: Packets, vni: Ints) -> None:
        """Count packets that carry others."""
        keys = hash_rows(
            outer.source_high,
            outer.source_low,
            outer.target_high,
            outer.target_low,
            vni,
            outer.place,
        )
        order, begins = group_rows(keys)
        starts = np.flatnonzero(begins)
        sizes = np.add.reduceat(outer.length[order], starts)
        counts = np.diff(np.append(starts, len(order)))
        heads = order[starts]
        columns = (
            outer.source_high,
            outer.source_low,
            outer.target_high,
            outer.target_low,
            vni,
            outer.place,
        )
        rows = zip(*(column[heads].tolist() for column in columns), strict=True)
        for key, count, size in zip(rows, counts.tolist(), sizes.tolist(), strict=True):
            if key in self.found or len(self.found) < _MOST:
                packets, size_before = self.found.get(key, (0, 0))
                self.found[key] = packets + count, size_before + size
