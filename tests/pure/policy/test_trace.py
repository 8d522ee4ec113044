"""A packet is followed through rules as the kernel follows it."""

from __future__ import annotations

from tests.support.core_cases import planned
from tests.support.policy_cases import POLICIES, filter_lines
from twinstack.policy.trace import packet_of, trace
from twinstack.policy.truth_table import Cell, cells


def test_an_unknown_match_of_others_decides_nothing():
    cell = next(cell for cell in cells(planned(), "net") if cell.open and cell.source == "nginx-lb")
    packet = packet_of(cell, planned(), "net")
    assert packet is not None
    strange = "-A FORWARD -m u32 --u32 0x0=0x1 -j DROP"
    assert trace((*POLICIES, strange, *filter_lines(planned(), "net")), packet).passes


def test_a_negated_match_is_followed():
    cell = Cell("nginx-lb", "redis-cache", "10.0.0.50", "tcp", 6379, False, "")
    packet = packet_of(cell, planned(), "net")
    assert packet is not None
    assert trace((*POLICIES, "-A FORWARD ! -s 10.0.0.10/32 -j DROP"), packet).passes
    assert not trace((*POLICIES, "-A FORWARD ! -s 10.0.0.11/32 -j DROP"), packet).passes
