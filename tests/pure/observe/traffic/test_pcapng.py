"""Pcapng files are read: sections, interfaces, clocks, every kind of packet block."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import FRAMES, RECORDS, START_NS, Frame, Interface, records


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_pcapng_of_either_order_is_read(order: str, tmp_path: Path):
    file = craft.pcapng(tmp_path / "a.pcapng", FRAMES, [Interface("br-app")], order=order)
    rows, capture = records(file)
    assert rows == RECORDS
    assert [interface.name for interface in capture.interfaces] == ["br-app"]


@pytest.mark.parametrize(
    ("port", "ticks", "expected"),
    [
        (Interface(), 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (Interface(resolution=9), 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (Interface(resolution=3), 1_700_000_000_123, 1_700_000_000_123_000_000),
        (Interface(resolution=0), 1_700_000_000, 1_700_000_000_000_000_000),
        (Interface(resolution=12), 1_700_000_000_123_456_789, 1_700_000_000_123_456),
        (Interface(resolution=0x80 | 10), 1_700_000_000 << 10 | 512, 1_700_000_000_500_000_000),
        (Interface(resolution=0x80 | 32), 1_700_000_000 << 32 | 1 << 31, 1_700_000_000_500_000_000),
        (Interface(resolution=0x80 | 40), 1 << 40 | 1 << 39, 1_500_000_000),
        (Interface(offset_s=1_700_000_000), 123_456, 1_700_000_000_123_456_000),
        (Interface(resolution=127), 5, 0),
        (Interface(resolution=0xFF), 5, 0),
        (Interface(resolution=0), (1 << 64) - 1, (1 << 62) - 1),
    ],
)
def test_every_clock_is_read(port: Interface, ticks: int, expected: int, tmp_path: Path):
    file = tmp_path / "a.pcapng"
    file.write_bytes(craft.section() + craft.described(port) + craft.enhanced(FRAMES[0], ticks))
    assert records(file)[0][0][0] == expected


def test_interfaces_and_sections_keep_their_packets_apart(tmp_path: Path):
    file = tmp_path / "a.pcapng"
    other = Frame(b"y" * 60, START_NS, 1)
    file.write_bytes(
        craft.section()
        + craft.described(Interface("one"))
        + craft.described(Interface("two"))
        + craft.enhanced(FRAMES[0])
        + craft.enhanced(other)
        + craft.section(">")
        + craft.described(Interface("three"), ">")
        + craft.enhanced(FRAMES[1], order=">")
    )
    rows, capture = records(file)
    assert [row[3] for row in rows] == [0, 1, 2]
    assert [interface.name for interface in capture.interfaces] == ["one", "two", "three"]
    assert craft.tshark_counts(file)[0] == 3


def test_a_simple_block_is_cut_by_the_interface_and_has_the_time_before(tmp_path: Path):
    file = tmp_path / "a.pcapng"
    whole = Frame(b"z" * 90)
    file.write_bytes(
        craft.section()
        + craft.described(Interface(snap_length=50))
        + craft.enhanced(FRAMES[3])
        + craft.simple(Frame(whole.data[:50], length=90))
    )
    rows, _ = records(file)
    assert rows[1] == (FRAMES[3].time_ns, b"z" * 50, 90, 0)


def test_an_old_packet_block_is_read(tmp_path: Path):
    for order in ("<", ">"):
        file = tmp_path / "a.pcapng"
        ticks = START_NS // 1000
        body = struct.pack(f"{order}HHIIII", 1, 7, ticks >> 32, ticks & 0xFFFFFFFF, 60, 60)
        file.write_bytes(
            craft.section(order)
            + craft.described(Interface("a"), order)
            + craft.described(Interface("b"), order)
            + craft.block(order, 2, body + b"q" * 60)
        )
        assert records(file)[0] == [(START_NS, b"q" * 60, 60, 1)]


def test_drops_are_read_from_the_statistics(tmp_path: Path):
    file = tmp_path / "a.pcapng"
    statistics = struct.pack("<III", 0, 0, 0) + craft.option("<", 5, struct.pack("<Q", 12))
    file.write_bytes(
        craft.section()
        + craft.described(Interface("a"))
        + craft.enhanced(FRAMES[0])
        + craft.block("<", 5, statistics)
    )
    assert records(file)[1].interfaces[0].dropped == 12


def test_unknown_blocks_are_skipped(tmp_path: Path):
    file = tmp_path / "a.pcapng"
    file.write_bytes(
        craft.section()
        + craft.block("<", 0xBAD, b"what")
        + craft.described(Interface())
        + craft.block("<", 4, b"name")
        + craft.enhanced(FRAMES[0])
    )
    assert records(file)[0] == RECORDS[:1]


@pytest.mark.parametrize(
    ("at", "value", "cause"),
    [
        (4, b"\xff\xff\xff\x7f", "claims"),
        (8, b"\x09\x00\x00\x00", "contradicts"),
        (20, b"\xff\xff\x00\x00", "contradicts"),
        (-4, b"\x00\x00\x00\x00", "contradicts"),
    ],
)
def test_a_block_that_contradicts_itself_ends_the_reading(
    at: int, value: bytes, cause: str, tmp_path: Path
):
    bad = bytearray(craft.enhanced(FRAMES[1]))
    place = at % len(bad)
    bad[place : place + len(value)] = value
    head = craft.section() + craft.described(Interface()) + craft.enhanced(FRAMES[0])
    file = tmp_path / "a.pcapng"
    file.write_bytes(head + bad + craft.enhanced(FRAMES[2]))
    rows, capture = records(file)
    assert rows == RECORDS[:1]
    assert capture.damage is not None
    assert capture.damage.byte == len(head)
    assert cause in capture.damage.cause
    assert craft.tshark_matching(file, "frame") == 1
