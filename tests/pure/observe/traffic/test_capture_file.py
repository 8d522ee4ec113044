"""Files are opened by their content, read in pieces, and up to where they are damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import FRAMES, RECORDS, records
from twinstack.errors import Unreadable
from twinstack.observe.traffic import pcap, pcapng
from twinstack.observe.traffic.capture_file import open_capture


@pytest.mark.parametrize("piece", [1, 7, 64, 1000])
@pytest.mark.parametrize("make", [craft.pcap, craft.pcapng])
def test_a_piece_may_end_anywhere(make, piece: int, tmp_path: Path):
    capture = open_capture(make(tmp_path / "a", FRAMES))
    times = [time for batch in capture.batches(piece) for time in batch.time_ns.tolist()]
    assert times == [frame.time_ns for frame in FRAMES]
    assert capture.damage is None


@pytest.mark.parametrize("make", [craft.pcap, craft.pcapng])
@pytest.mark.parametrize("less", [1, 10, 59, 60, 70])
def test_a_truncated_file_is_read_up_to_there(make, less: int, tmp_path: Path):
    file = make(tmp_path / "a", FRAMES)
    whole = file.read_bytes()
    file.write_bytes(whole[:-less])
    rows, capture = records(file)
    assert rows == RECORDS[:-1]
    assert capture.damage is not None
    assert "middle" in capture.damage.cause
    assert craft.tshark_counts(file)[0] == 8


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"\x7fELF" + bytes(100), "begins with 7f 45 4c 46"),
        (b"\x1f\x8b\x08\x00", 'unpack it with "gunzip"'),
        (b"hi", "begins with 68 69"),
        (struct.pack("<I", 0xA1B2C3D4), "ends within its first header"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00", "ends within its first header"),
    ],
)
def test_a_file_that_is_no_capture_is_refused(data: bytes, message: str, tmp_path: Path):
    file = tmp_path / "a"
    file.write_bytes(data)
    with pytest.raises(Unreadable) as error:
        open_capture(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)


def test_a_capture_without_packets_has_none(tmp_path: Path):
    for make in (craft.pcap, craft.pcapng):
        rows, capture = records(make(tmp_path / "a", []))
        assert (rows, capture.damage) == ([], None)


def test_a_batch_is_bounded_however_small_its_packets_are(tmp_path: Path, monkeypatch):

    monkeypatch.setattr(pcap, "BATCH_PACKETS", 4)
    monkeypatch.setattr(pcapng, "BATCH_PACKETS", 4)
    for make in (craft.pcap, craft.pcapng):
        batches = list(open_capture(make(tmp_path / "a", FRAMES)).batches())
        assert [len(batch) for batch in batches] == [4, 4, 1]
