"""Sources are merged in the order of time, and opened no earlier than needed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from twinstack.observe.traffic.merge import merged
from twinstack.observe.traffic.packets import Packets


def batches(opened: list[int], *times: list[int]) -> Iterator[Packets]:
    opened.append(times[0][0])
    for moments in times:
        packets = Packets.blank(len(moments))
        packets.time_ns = np.array(moments)
        yield packets


def test_packets_of_all_sources_come_in_the_order_of_time():
    opened: list[int] = []
    sources = [
        (3, partial(batches, opened, [3, 5], [9])),
        (1, partial(batches, opened, [1, 4], [6])),
    ]
    merge = list(merged(sources))
    times = [time for packets in merge for time in packets.time_ns.tolist()]
    assert times == [1, 3, 4, 5, 6, 9]


def test_a_source_is_opened_when_the_others_are_past_its_beginning():
    opened: list[int] = []
    sources = [(1, partial(batches, opened, [1], [2])), (7, partial(batches, opened, [7]))]
    merge = merged(sources)
    assert next(merge).time_ns.tolist() == [1]
    assert opened == [1]
    assert [packets.time_ns.tolist() for packets in merge] == [[2], [7]]
    assert opened == [1, 7]


def test_a_batch_that_is_not_sorted_is_sorted():
    (packets,) = merged([(1, partial(batches, [], [3, 1, 2]))])
    assert packets.time_ns.tolist() == [1, 2, 3]
