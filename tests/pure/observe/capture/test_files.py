"""The files of a link: bounded, whole whatever the disk says, without a hole in time."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from twinstack.linux.packet_ring import TPACKET3_HDR, Ring
from twinstack.observe.capture.files import LinkFiles
from twinstack.observe.capture.targets import CaptureOptions
from twinstack.observe.traffic.capture_file import open_capture
from twinstack.world import Link

LINK = Link("br-app", "bridge", "", "app", "")
FRAME_AT = 64


def files(folder: Path, **options: Any) -> LinkFiles:
    """Begin the files of a link, with a ring that counts nothing."""
    ring = SimpleNamespace(dropped=0, failed="", count=lambda: None)
    link_files = LinkFiles(LINK, folder, CaptureOptions(snap=0, **options), cast(Ring, ring))
    link_files.begin()
    return link_files


def give(to: LinkFiles, size: int, at_s: int) -> None:
    """Hand over a block of the ring's: a packet of this size."""
    head = TPACKET3_HDR.pack(0, at_s, 0, size, size, 0, FRAME_AT).ljust(FRAME_AT, b"\0")
    to.write(memoryview(head + bytes(size)), 1, 0)


def seconds(file: Path) -> list[int]:
    capture = open_capture(file)
    times = [int(ns) // 10**9 for batch in capture.batches() for ns in batch.time_ns]
    assert capture.damage is None
    return times


def test_nothing_is_kept_after_a_single_file_is_full_however_small(tmp_path: Path):
    link = files(tmp_path, size=3000, files=1)
    for at_s, size in enumerate([1000, 1000, 1000, 60, 60], 1):
        give(link, size, at_s)
    link.end()
    result = link.result()
    assert (result.packets, result.unkept) == (2, 3)
    assert seconds(link.kept[0][0]) == [1, 2]


@pytest.fixture(name="disk")
def _disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Bound the room of the disk, which takes a part of a write that does not fit."""
    disk = {"room": 1 << 30}
    write = os.write

    def bounded(handle: int, data: bytes) -> int:
        if not disk["room"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(handle, data[: disk["room"]])
        disk["room"] -= done
        return done

    monkeypatch.setattr(os, "write", bounded)
    return disk


@pytest.mark.parametrize("room", [0, 10])
def test_a_file_whose_header_cannot_be_written_is_not_left(
    room: int, disk: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    link = files(tmp_path, size=3000, files=2)
    for at_s in (1, 2):
        give(link, 1000, at_s)
    end = link.end

    def full(self: LinkFiles) -> None:
        end()
        disk["room"] = room

    monkeypatch.setattr(LinkFiles, "end", full)
    give(link, 1000, 3)
    monkeypatch.undo()
    give(link, 60, 4)
    link.end()
    result = link.result()
    assert result.failed == "cannot be written: No space left on device"
    assert (result.packets, result.unkept, len(result.files)) == (2, 2, 1)
    assert [str(path) for path in tmp_path.iterdir()] == list(result.files)
    assert seconds(Path(result.files[0])) == [1, 2]


@pytest.mark.parametrize("room", [0, 10])
@pytest.mark.parametrize("turns", [True, False])
def test_a_file_is_whole_where_only_its_counts_have_no_room(
    turns: bool, room: int, disk: dict[str, int], tmp_path: Path
):
    link = files(tmp_path, size=3000, files=2)
    for at_s in (1, 2):
        give(link, 1000, at_s)
    disk["room"] = room
    if turns:
        give(link, 1000, 3)
    link.end()
    result = link.result()
    assert result.failed == "cannot be written: No space left on device"
    assert (result.packets, result.unkept) == (2, int(turns))
    assert [str(path) for path in tmp_path.iterdir()] == list(result.files)
    assert seconds(Path(result.files[0])) == [1, 2]
