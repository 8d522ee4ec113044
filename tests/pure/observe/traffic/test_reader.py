"""Files are read as tshark reads them: every form, cut off, broken, empty, or no capture."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import START_NS, Frame, Port
from twinstack.errors import Unreadable
from twinstack.observe.traffic.capture_file import CaptureFile, open_capture
from twinstack.observe.traffic.records import Damage


def read(path: Path) -> tuple[list[tuple[int, bytes, int, int]], CaptureFile]:
    capture = open_capture(path)
    found = []
    for batch in capture.batches():
        for row in range(len(batch)):
            start = int(batch.start[row])
            data = batch.data[start : start + int(batch.captured[row])].tobytes()
            found.append(
                (int(batch.time_ns[row]), data, int(batch.length[row]), int(batch.interface[row]))
            )
    return found, capture


FRAMES = [Frame(bytes([number]) * (60 + number), START_NS + number * 1000) for number in range(9)]
EXPECTED = [(one.time_ns, one.data, one.wire, 0) for one in FRAMES]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("ns", [True, False])
def test_a_pcap_of_either_order_and_unit_is_read(order: str, ns: bool, tmp_path: Path):
    file = craft.pcap(tmp_path / "a.pcap", FRAMES, order=order, ns=ns)
    assert read(file)[0] == EXPECTED
    assert craft.tshark_counts(file) == (9, sum(one.wire for one in FRAMES))


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_pcapng_of_either_order_is_read(order: str, tmp_path: Path):
    file = craft.pcapng(tmp_path / "a.pcapng", FRAMES, [Port("br-app")], order=order)
    found, capture = read(file)
    assert found == EXPECTED
    assert [one.name for one in capture.interfaces] == ["br-app"]


@pytest.mark.parametrize("piece", [1, 7, 64, 1000])
@pytest.mark.parametrize("make", [craft.pcap, craft.pcapng])
def test_a_piece_may_end_anywhere(make, piece: int, tmp_path: Path):
    capture = open_capture(make(tmp_path / "a", FRAMES))
    times = [time for batch in capture.batches(piece) for time in batch.time_ns.tolist()]
    assert times == [one.time_ns for one in FRAMES]
    assert capture.damage is None


@pytest.mark.parametrize(
    ("port", "ticks", "expected"),
    [
        (Port(), 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (Port(resolution=9), 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (Port(resolution=3), 1_700_000_000_123, 1_700_000_000_123_000_000),
        (Port(resolution=0), 1_700_000_000, 1_700_000_000_000_000_000),
        (Port(resolution=12), 1_700_000_000_123_456_789, 1_700_000_000_123_456),
        (Port(resolution=0x80 | 10), 1_700_000_000 << 10 | 512, 1_700_000_000_500_000_000),
        (Port(resolution=0x80 | 32), 1_700_000_000 << 32 | 1 << 31, 1_700_000_000_500_000_000),
        (Port(resolution=0x80 | 40), 1 << 40 | 1 << 39, 1_500_000_000),
        (Port(offset_s=1_700_000_000), 123_456, 1_700_000_000_123_456_000),
        (Port(resolution=127), 5, 0),
        (Port(resolution=0xFF), 5, 0),
        (Port(resolution=0), (1 << 64) - 1, ((1 << 62) - 1) // 10**9 * 10**9),
    ],
)
def test_every_clock_is_read(port: Port, ticks: int, expected: int, tmp_path: Path):
    file = tmp_path / "a.pcapng"
    file.write_bytes(craft.section() + craft.described(port) + craft.enhanced(FRAMES[0], ticks))
    assert read(file)[0][0][0] == expected


def test_interfaces_and_sections_keep_their_packets_apart(tmp_path: Path):
    file = tmp_path / "a.pcapng"
    other = Frame(b"y" * 60, START_NS, 1)
    file.write_bytes(
        craft.section()
        + craft.described(Port("one"))
        + craft.described(Port("two"))
        + craft.enhanced(FRAMES[0])
        + craft.enhanced(other)
        + craft.section(">")
        + craft.described(Port("three"), ">")
        + craft.enhanced(FRAMES[1], order=">")
    )
    found, capture = read(file)
    assert [row[3] for row in found] == [0, 1, 2]
    assert [one.name for one in capture.interfaces] == ["one", "two", "three"]
    assert craft.tshark_counts(file)[0] == 3


def test_a_simple_block_is_cut_by_the_interface_and_has_the_time_before(tmp_path: Path):
    file = tmp_path / "a.pcapng"
    whole = Frame(b"z" * 90)
    file.write_bytes(
        craft.section()
        + craft.described(Port(snap_length=50))
        + craft.enhanced(FRAMES[3])
        + craft.simple(Frame(whole.data[:50], length=90))
    )
    found, _ = read(file)
    assert found[1] == (FRAMES[3].time_ns, b"z" * 50, 90, 0)


def test_an_old_packet_block_is_read(tmp_path: Path):
    for order in ("<", ">"):
        file = tmp_path / "a.pcapng"
        ticks = START_NS // 1000
        body = struct.pack(f"{order}HHIIII", 1, 7, ticks >> 32, ticks & 0xFFFFFFFF, 60, 60)
        file.write_bytes(
            craft.section(order)
            + craft.described(Port("a"), order)
            + craft.described(Port("b"), order)
            + craft.block(order, 2, body + b"q" * 60)
        )
        assert read(file)[0] == [(START_NS, b"q" * 60, 60, 1)]


def test_drops_are_read_as_the_capture_told_them(tmp_path: Path):
    file = tmp_path / "a.pcapng"
    statistics = struct.pack("<III", 0, 0, 0) + craft.option("<", 5, struct.pack("<Q", 12))
    file.write_bytes(
        craft.section()
        + craft.described(Port("a"))
        + craft.enhanced(FRAMES[0])
        + craft.block("<", 5, statistics)
    )
    assert read(file)[1].interfaces[0].dropped == 12


def test_unknown_blocks_are_passed_over(tmp_path: Path):
    file = tmp_path / "a.pcapng"
    file.write_bytes(
        craft.section()
        + craft.block("<", 0xBAD, b"what")
        + craft.described(Port())
        + craft.block("<", 4, b"name")
        + craft.enhanced(FRAMES[0])
    )
    assert read(file)[0] == EXPECTED[:1]


@pytest.mark.parametrize("make", [craft.pcap, craft.pcapng])
@pytest.mark.parametrize("less", [1, 10, 59, 60, 70])
def test_a_file_that_breaks_off_is_read_up_to_there(make, less: int, tmp_path: Path):
    file = make(tmp_path / "a", FRAMES)
    whole = file.read_bytes()
    file.write_bytes(whole[:-less])
    found, capture = read(file)
    assert found == EXPECTED[:-1]
    assert capture.damage is not None
    assert "middle" in capture.damage.cause
    assert craft.tshark_counts(file)[0] == 8


def test_a_length_that_cannot_be_ends_the_reading_where_it_stands(tmp_path: Path):
    file = craft.pcap(tmp_path / "a.pcap", FRAMES)
    data = bytearray(file.read_bytes())
    second = 24 + 16 + 60
    data[second + 8 : second + 12] = b"\xff\xff\xff\x7f"
    file.write_bytes(data)
    found, capture = read(file)
    assert found == EXPECTED[:1]
    assert capture.damage == Damage(second, "a packet there claims 2147483647 bytes")


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
    head = craft.section() + craft.described(Port()) + craft.enhanced(FRAMES[0])
    file = tmp_path / "a.pcapng"
    file.write_bytes(head + bad + craft.enhanced(FRAMES[2]))
    found, capture = read(file)
    assert found == EXPECTED[:1]
    assert capture.damage is not None
    assert capture.damage.byte == len(head)
    assert cause in capture.damage.cause
    assert craft.tshark_matching(file, "frame") == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"\x7fELF" + bytes(100), "begins with 7f 45 4c 46"),
        (b"\x1f\x8b\x08\x00", 'unpack it with "gunzip"'),
        (b"hi", "begins with 68 69"),
        (struct.pack("<I", 0xA1B2C3D4), "ends within its first header"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00", "ends within its first header"),
    ],
)
def test_what_is_no_capture_is_said_to_be_none(data: bytes, said: str, tmp_path: Path):
    file = tmp_path / "a"
    file.write_bytes(data)
    with pytest.raises(Unreadable) as error:
        open_capture(file)
    assert said in str(error.value)
    assert str(file) in str(error.value)


def test_a_capture_without_packets_has_none(tmp_path: Path):
    for make in (craft.pcap, craft.pcapng):
        found, capture = read(make(tmp_path / "a", []))
        assert (found, capture.damage) == ([], None)


def test_a_batch_is_bounded_however_small_its_packets_are(tmp_path: Path, monkeypatch):
    from twinstack.observe.traffic import pcap, pcapng

    monkeypatch.setattr(pcap, "BATCH_PACKETS", 4)
    monkeypatch.setattr(pcapng, "BATCH_PACKETS", 4)
    for make in (craft.pcap, craft.pcapng):
        batches = list(open_capture(make(tmp_path / "a", FRAMES)).batches())
        assert [len(batch) for batch in batches] == [4, 4, 1]
