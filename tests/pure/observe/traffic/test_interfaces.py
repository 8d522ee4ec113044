"""Interfaces of one name in several files: parts of one capture are one, all others are apart.

The packets are merged in the order of time, and no file is opened earlier than needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support import craft
from tests.support.craft import ACK, SYN, Connection, Frame, Interface, ethernet
from twinstack.observe.traffic import pcap, pcapng
from twinstack.observe.traffic.interfaces import merged
from twinstack.observe.traffic.packets import Packets
from twinstack.observe.traffic.sections import text

Write = Callable[[Path, list[Frame]], Path]


def as_pcap(path: Path, frames: list[Frame]) -> Path:
    path.parent.mkdir(exist_ok=True)
    return craft.pcap(path.with_name(f"{path.name}.pcap"), frames)


def as_eth0(path: Path, frames: list[Frame]) -> Path:
    """Write a file as dumpcap does within a namespace, where every interface has this name."""
    path.parent.mkdir(exist_ok=True)
    return craft.pcapng(path.with_name(f"{path.name}.pcapng"), frames, [Interface("eth0")])


def later(frames: list[Frame], ns: int) -> list[Frame]:
    return [replace(frame, time_ns=frame.time_ns + ns) for frame in frames]


def some() -> list[Frame]:
    """Give five packets, connection of them sent again without an identification."""
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    connection.send(0, ACK, b"x" * 100)
    connection.send(0, ACK, b"x" * 100, again=100)
    return craft.spaced(ethernet(packet[:4] + b"\0\0" + packet[6:]) for packet in connection.sent)


@pytest.fixture(autouse=True, params=[1, 3, 1000])
def _batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pcap, pcapng):
        monkeypatch.setattr(module, "BATCH_PACKETS", request.param)


@pytest.mark.parametrize("write", [as_pcap, as_eth0])
@pytest.mark.parametrize("apart_ns", [0, 1000])
@pytest.mark.parametrize("paths", [("a/x", "b/x"), ("1/x", "2/x")])
def test_namesakes_that_saw_the_same_are_two_interfaces(
    paths: tuple[str, str], apart_ns: int, write: Write, tmp_path: Path
):
    frames = some()
    files = [
        write(tmp_path / path, later(frames, number * apart_ns))
        for number, path in enumerate(paths)
    ]
    report = craft.report(*files)
    assert (report.packets, report.sights) == (5, 10)
    assert craft.pair(report, "nginx-lb", "api-gateway").resent == 1
    name = "x" if write is as_pcap else "eth0"
    assert [(place.name, place.packets) for place in report.places] == [
        (f"{file.parent.name}/{file.name}: {name}", 5) for file in files
    ]
    assert all(len(line) <= 80 for line in text(report).splitlines())


def test_no_more_of_a_path_is_shown_than_needed(tmp_path: Path):
    files = [as_eth0(tmp_path / name, some()) for name in ("nginx-lb.eth0", "redis-cache.eth0")]
    assert [place.name for place in craft.report(*files).places] == [
        "nginx-lb.eth0.pcapng: eth0",
        "redis-cache.eth0.pcapng: eth0",
    ]


def test_parts_that_meet_in_one_instant_are_of_one_capture(tmp_path: Path):
    frames = [
        replace(frame, time_ns=craft.START_NS + number // 2 * 1000)
        for number, frame in enumerate(some())
    ]
    whole = craft.report(as_eth0(tmp_path / "whole", frames))
    parts = [
        as_eth0(tmp_path / f"a_{number:05}_20261125", frames[at:to])
        for number, (at, to) in enumerate([(0, 3), (3, 5)])
    ]
    assert replace(craft.report(*parts), files=()) == replace(whole, files=())
    assert whole.packets == 5


def test_two_captures_that_rotate_their_files_are_two_interfaces(tmp_path: Path):
    """Both pause between their parts, and the later part's own predecessor is not the last one."""
    frames = some()
    there = [
        (as_eth0(tmp_path / f"web-{which}_{part}", later(frames[at:to], which * 1000)))
        for which in (1, 2)
        for part, at, to in ((1, 0, 3), (2, 3, 5))
    ]
    report = craft.report(*there)
    assert (report.packets, craft.pair(report, "nginx-lb", "api-gateway").resent) == (5, 1)
    assert [(place.name, place.packets) for place in report.places] == [
        ("web-1_1.pcapng: eth0", 5),
        ("web-2_1.pcapng: eth0", 5),
    ]


def test_captures_that_happen_to_follow_each_other_are_two_interfaces(tmp_path: Path):
    frame = Frame(ethernet(Connection(craft.NGINX, craft.GATEWAY, 3000).send(0, SYN)))
    files = [
        as_eth0(tmp_path / "nginx-lb", [frame]),
        as_eth0(tmp_path / "api-gateway", later([frame], 2000)),
    ]
    report = craft.report(*files)
    assert (report.packets, report.sights, len(report.places)) == (1, 2, 2)


def test_a_part_without_packets_is_a_part(tmp_path: Path):
    frames = some()
    parts = [
        as_eth0(tmp_path / f"a_{number}", kept)
        for number, kept in enumerate([frames[:3], [], frames[3:]])
    ]
    report = craft.report(*parts)
    assert [(place.name, place.packets) for place in report.places] == [("eth0", 5)]
    assert craft.pair(report, "nginx-lb", "api-gateway").resent == 1


def test_rotated_files_of_one_interface_are_one(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open().ask().close()
    frames = connection.frames()
    whole = craft.pcapng(tmp_path / "whole", frames, [Interface("br-app")])
    parts = [
        craft.pcapng(tmp_path / f"part{at}", frames[at : at + 3], [Interface("br-app")])
        for at in range(0, len(frames), 3)
    ]
    report = craft.report(*reversed(parts))
    assert replace(report, files=()) == replace(craft.report(whole), files=())


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
