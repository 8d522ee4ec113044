"""Pcap files of either byte order and unit are read; a damaged record ends the reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import FRAMES, RECORDS, records
from twinstack.observe.traffic.pcap import Damage


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("ns", [True, False])
def test_a_pcap_of_either_order_and_unit_is_read(order: str, ns: bool, tmp_path: Path):
    file = craft.pcap(tmp_path / "a.pcap", FRAMES, order=order, ns=ns)
    assert records(file)[0] == RECORDS
    assert craft.tshark_counts(file) == (9, sum(frame.wire for frame in FRAMES))


def test_an_impossible_length_ends_the_reading_there(tmp_path: Path):
    file = craft.pcap(tmp_path / "a.pcap", FRAMES)
    data = bytearray(file.read_bytes())
    second = 24 + 16 + 60
    data[second + 8 : second + 12] = b"\xff\xff\xff\x7f"
    file.write_bytes(data)
    rows, capture = records(file)
    assert rows == RECORDS[:1]
    assert capture.damage == Damage(second, "a packet there claims 2147483647 bytes")
