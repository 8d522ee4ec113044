"""VXLAN carriers: what each pair of hosts sent, by network identifier and interface."""

from __future__ import annotations

import numpy as np

from twinstack.observe.traffic.columns import Ints, group_rows, hash_rows
from twinstack.observe.traffic.packets import Packets

_MAX_CARRIERS = 10_000


class VxlanCarriers:
    """Counts carriers apart from the packets that they carry."""

    def __init__(self) -> None:
        #: (source high, low, destination high, low, VNI, place) → packets, bytes of whole frames
        self.counts: dict[tuple[int, ...], tuple[int, int]] = {}

    def add(self, outer: Packets, vni: Ints) -> None:
        """Count carriers."""
        columns = (
            outer.source_high,
            outer.source_low,
            outer.target_high,
            outer.target_low,
            vni,
            outer.place,
        )
        order, begins = group_rows(hash_rows(*columns))
        starts = np.flatnonzero(begins)
        heads = order[starts]
        packets = np.diff(np.append(starts, len(order)))
        size = np.add.reduceat(outer.length[order], starts)
        values = (*(column[heads] for column in columns), packets, size)
        for *row, more_packets, more_bytes in zip(*(v.tolist() for v in values), strict=True):
            key = tuple(row)
            if key in self.counts or len(self.counts) < _MAX_CARRIERS:
                packets_before, bytes_before = self.counts.get(key, (0, 0))
                self.counts[key] = packets_before + more_packets, bytes_before + more_bytes
