"""Pcap files of either byte order and unit are read; a damaged record ends the reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import FRAMES, RECORDS, records
from twinstack.observe.traffic.records import Damage


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("ns", [True, False])
def test_a_pcap_of_either_order_and_unit_is_read(order: str, ns: bool, tmp_path: Path):
    file = craft.pcap(tmp_path / "a.pcap", FRAMES, order=order, ns=ns)
    assert records(file)[0] == RECORDS
    assert craft.tshark_counts(file) == (9, sum(one.wire for one in FRAMES))


def test_a_length_that_cannot_be_ends_the_reading_where_it_stands(tmp_path: Path):
    file = craft.pcap(tmp_path / "a.pcap", FRAMES)
    data = bytearray(file.read_bytes())
    second = 24 + 16 + 60
    data[second + 8 : second + 12] = b"\xff\xff\xff\x7f"
    file.write_bytes(data)
    found, capture = records(file)
    assert found == RECORDS[:1]
    assert capture.damage == Damage(second, "a packet there claims 2147483647 bytes")
