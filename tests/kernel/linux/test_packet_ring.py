"""The kernel's ring as capture uses it: bounded files, every packet accounted for, drops counted.

Each test has a network namespace of its own; its loopback carries datagrams.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import craft
from twinstack.linux import child
from twinstack.linux.packet_ring import CapturePoint, opened
from twinstack.observe.capture.live_report import live_report
from twinstack.observe.capture.record import capture
from twinstack.observe.capture.report import CaptureResult
from twinstack.observe.capture.targets import CaptureOptions
from twinstack.observe.traffic.capture_file import open_capture
from twinstack.observe.traffic.report import TrafficReport
from twinstack.world import Link

pytestmark = pytest.mark.kernel

LOOPBACK = Link("lo", "host end", "", "", "")
#: Of a datagram on loopback, beside its payload.
HEADERS = 14 + 20 + 8


def alone(work: Callable[[], Any]) -> Any:
    """Work in a network namespace that has a loopback and nothing else."""

    def inside() -> Any:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        child.fresh()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return work()

    return child.inside("a test", None, inside)


def sent(count: int, size: int = 1000, every_s: float = 0.0) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 9))  # where they go: nobody answers that they are unwanted
        for _ in range(count):
            sock.sendto(bytes(size), ("127.0.0.1", 9))
            time.sleep(every_s)


def caught(folder: Path, wanted: CaptureOptions, count: int, **datagrams: Any) -> CaptureResult:
    """Capture loopback while so many datagrams are sent, then interrupt it as Ctrl-C does."""

    def work() -> CaptureResult:
        def disturb() -> None:
            time.sleep(0.3)
            sent(count, **datagrams)  # the kernel has not handed over the last of them yet
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=disturb)
        thread.start()
        found = capture([LOOPBACK], folder, wanted)
        thread.join()
        return found

    found: CaptureResult = alone(work)
    assert found.interrupted
    return found


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_us_ends_a_capture_whole(tmp_path: Path, sign: signal.Signals):
    def work() -> CaptureResult:
        if sign == signal.SIGHUP:  # whoever runs the tests may have taken it away, as nohup does
            signal.signal(sign, signal.SIG_DFL)
        threading.Timer(0.3, os.kill, (os.getpid(), sign)).start()
        return capture([LOOPBACK], tmp_path / "a", CaptureOptions(seconds=20))

    found: CaptureResult = alone(work)
    assert found.interrupted
    opened_file = open_capture(Path(found.links[0].files[0]))
    assert sum(len(batch) for batch in opened_file.batches()) == found.links[0].packets
    assert opened_file.damage is None


def test_a_live_report_names_no_file_as_none_stays():
    def work() -> TrafficReport:
        threading.Timer(0.2, sent, (3,)).start()
        return live_report([LOOPBACK], [], 0.6, lambda _line: None)

    found: TrafficReport = alone(work)
    assert (found.files, found.packets) == ((), 3)


def test_a_capture_that_shall_outlive_its_terminal_does(tmp_path: Path):
    def work() -> CaptureResult:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGHUP)).start()
        return capture([LOOPBACK], tmp_path / "a", CaptureOptions(seconds=0.5))

    assert not alone(work).interrupted


def test_the_newest_files_stay_and_every_packet_is_accounted_for(tmp_path: Path):
    wanted = CaptureOptions(seconds=0, snap=0, size=50_000, files=2)
    found = caught(tmp_path / "a", wanted, 400, every_s=0.001)
    (one,) = found.links
    assert (one.packets, one.bytes) == (400, 400 * (1000 + HEADERS))
    assert one.dropped == one.unkept == 0
    files = [Path(name) for name in one.files]
    assert sorted(tmp_path.joinpath("a").iterdir()) == files
    assert len(files) == 2
    assert all(file.stat().st_size <= 50_000 + (1 << 17) for file in files)
    kept = sum(craft.tshark_counts(file)[0] for file in files)
    assert kept + one.discarded == 400
    assert one.discarded > 100


def test_a_single_file_ends_when_it_is_full(tmp_path: Path):
    wanted = CaptureOptions(seconds=0, snap=64, size=20_000, files=1)
    found = caught(tmp_path / "a", wanted, 400, every_s=0.001)
    (one,) = found.links
    assert one.packets + one.unkept == 400
    assert one.unkept > 0
    assert one.unkept_because == "the file was full"
    (file,) = (Path(name) for name in one.files)
    assert craft.tshark_counts(file) == (one.packets, one.bytes)
    opened_file = open_capture(file)
    lengths = {int(length) for batch in opened_file.batches() for length in batch.captured}
    assert (lengths, opened_file.damage) == ({64}, None)


def test_a_file_that_cannot_be_written_ends_its_link_and_stays_whole(tmp_path: Path):
    def work() -> CaptureResult:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
        sending = threading.Timer(0.3, sent, [200], {"every_s": 0.001})
        sending.start()
        found = capture([LOOPBACK], tmp_path / "a", CaptureOptions(seconds=30, snap=0))
        sending.join()
        return found

    found = alone(work)
    assert found.seconds < 20  # nothing is left to wait for
    (one,) = found.links
    assert one.failed == "cannot be written: File too large"
    assert 0 < one.unkept <= 200
    assert one.unkept_because == "the file could not be written"
    (file,) = (Path(name) for name in one.files)
    opened_file = open_capture(file)
    assert sum(len(batch) for batch in opened_file.batches()) == one.packets
    assert opened_file.damage is None


def test_what_the_ring_has_no_room_for_is_counted_as_dropped():
    def work() -> tuple[int, int]:
        with opened([CapturePoint("lo", "lo", "")]) as (ring,):
            sent(3000, size=60_000)  # 180 MB: the ring has 32 MB, and nobody reads
            ring.stop()
            ring.count()
            return ring.seen, ring.dropped

    seen, dropped = alone(work)
    assert seen + dropped == 3000
    assert dropped > 1000


def test_more_links_than_files_may_be_open_are_listened_to_all_the_same():
    def work() -> list[int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))
        with opened([CapturePoint("lo", "lo", "")] * 80) as rings:
            sent(5)
            for ring in rings:
                ring.count()
            return [ring.seen for ring in rings]

    assert alone(work) == [5] * 80


def test_a_link_that_goes_away_ends_its_capture_alone(tmp_path: Path):
    def work() -> CaptureResult:
        subprocess.run(
            ["ip", "link", "add", "one", "type", "veth", "peer", "name", "two"], check=True
        )
        subprocess.run(["ip", "link", "set", "one", "up"], check=True)
        gone = threading.Timer(0.5, subprocess.run, [["ip", "link", "delete", "one"]])
        gone.start()
        links = [LOOPBACK, Link("one", "host end", "", "", "")]
        return capture(links, tmp_path / "a", CaptureOptions(seconds=1.2))

    found = alone(work)
    assert not found.interrupted
    assert [one.failed for one in found.links] == ["", "it went down"]


def test_the_last_packets_of_a_link_that_goes_down_are_kept(tmp_path: Path):
    """The kernel hands a block over that is not full up to a tenth of a second later."""
    frame = bytes(12) + b"\x12\x34" + bytes(50)

    def work() -> CaptureResult:
        for name in ("one", "two"):
            if name == "one":
                subprocess.run(
                    ["ip", "link", "add", "one", "type", "veth", "peer", "name", "two"], check=True
                )
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
        out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)

        def end() -> None:
            for _ in range(7):
                out.sendto(frame, ("two", 0))
            subprocess.run(["ip", "link", "set", "one", "down"], check=True)
            time.sleep(0.3)
            subprocess.run(["ip", "link", "set", "one", "up"], check=True)
            out.sendto(frame, ("two", 0))  # it has ended: nothing is kept after a hole in time

        with out:
            ending = threading.Timer(0.5, end)
            ending.start()
            links = [LOOPBACK, Link("one", "host end", "", "", "")]
            found = capture(links, tmp_path / "a", CaptureOptions(seconds=1.5))
            ending.join()
        return found

    found = alone(work)
    (_, one) = found.links
    assert (one.failed, one.unkept, one.dropped) == ("it went down", 0, 0)
    assert craft.tshark_matching(Path(one.files[0]), "eth.type == 0x1234") == 7
