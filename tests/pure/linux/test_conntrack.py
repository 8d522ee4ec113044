"""A conntrack message is read as an entry, or refused."""

from __future__ import annotations

import struct

import pytest

from twinstack.linux import conntrack


def test_an_entry_without_addresses_is_refused():
    with pytest.raises(ValueError, match="without its addresses"):
        conntrack.read_entry(memoryview(bytes(4)))


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_a_cut_message_is_an_entry_or_a_value_error(cut: int):
    way = struct.pack("=HHHH", 52, 1 | 0x8000, 20, 1 | 0x8000) + bytes(44)
    body = memoryview((bytes(4) + way * 2)[:cut])
    with pytest.raises(ValueError, match="without its addresses"):
        conntrack.read_entry(body)
