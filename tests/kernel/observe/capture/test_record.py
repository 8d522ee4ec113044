"""Captures are bounded and whole, and account for every packet; a lost link ends alone."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import craft
from tests.support.loopback import HEADER_BYTES, in_own_netns, send_datagrams
from twinstack.observe.capture.record import capture
from twinstack.observe.capture.report import CaptureResult
from twinstack.observe.capture.targets import CaptureOptions
from twinstack.observe.traffic.capture_file import open_capture
from twinstack.world import Link

pytestmark = pytest.mark.kernel

LOOPBACK = Link("lo", "host end", "", "", "")


def capture_datagrams(
    folder: Path, options: CaptureOptions, count: int, **datagrams: Any
) -> CaptureResult:
    """Capture loopback while so many datagrams are sent, then interrupt it as Ctrl-C does."""

    def work() -> CaptureResult:
        def disturb() -> None:
            time.sleep(0.3)
            send_datagrams(count, **datagrams)
            # The kernel has not handed over the last of them yet.
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=disturb)
        thread.start()
        result = capture([LOOPBACK], folder, options)
        thread.join()
        return result

    result: CaptureResult = in_own_netns(work)
    assert result.interrupted
    return result


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_capture_with_whole_files(tmp_path: Path, sign: signal.Signals):
    def work() -> CaptureResult:
        if sign == signal.SIGHUP:  # the tests may run under nohup
            signal.signal(sign, signal.SIG_DFL)
        threading.Timer(0.3, os.kill, (os.getpid(), sign)).start()
        return capture([LOOPBACK], tmp_path / "a", CaptureOptions(seconds=20))

    result: CaptureResult = in_own_netns(work)
    assert result.interrupted
    capture_file = open_capture(Path(result.links[0].files[0]))
    assert sum(len(batch) for batch in capture_file.batches()) == result.links[0].packets
    assert capture_file.damage is None


def test_a_capture_under_nohup_outlives_its_terminal(tmp_path: Path):
    def work() -> CaptureResult:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGHUP)).start()
        return capture([LOOPBACK], tmp_path / "a", CaptureOptions(seconds=0.5))

    assert not in_own_netns(work).interrupted


def test_the_newest_files_stay_and_every_packet_is_accounted_for(tmp_path: Path):
    options = CaptureOptions(seconds=0, snap=0, size=50_000, files=2)
    result = capture_datagrams(tmp_path / "a", options, 400, every_s=0.001)
    (link,) = result.links
    assert (link.packets, link.bytes) == (400, 400 * (1000 + HEADER_BYTES))
    assert link.dropped == link.unkept == 0
    files = [Path(name) for name in link.files]
    assert sorted(tmp_path.joinpath("a").iterdir()) == files
    assert len(files) == 2
    assert all(file.stat().st_size <= 50_000 + (1 << 17) for file in files)
    kept = sum(craft.tshark_counts(file)[0] for file in files)
    assert kept + link.discarded == 400
    assert link.discarded > 100


def test_a_single_file_ends_when_it_is_full(tmp_path: Path):
    options = CaptureOptions(seconds=0, snap=64, size=20_000, files=1)
    result = capture_datagrams(tmp_path / "a", options, 400, every_s=0.001)
    (link,) = result.links
    assert link.packets + link.unkept == 400
    assert link.unkept > 0
    assert link.unkept_because == "the file was full"
    (file,) = (Path(name) for name in link.files)
    assert craft.tshark_counts(file) == (link.packets, link.bytes)
    capture_file = open_capture(file)
    lengths = {int(length) for batch in capture_file.batches() for length in batch.captured}
    assert (lengths, capture_file.damage) == ({64}, None)


def test_a_file_that_cannot_be_written_ends_its_link_and_stays_whole(tmp_path: Path):
    def work() -> CaptureResult:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
        sending = threading.Timer(0.3, send_datagrams, [200], {"every_s": 0.001})
        sending.start()
        result = capture([LOOPBACK], tmp_path / "a", CaptureOptions(seconds=30, snap=0))
        sending.join()
        return result

    result = in_own_netns(work)
    assert result.seconds < 20  # nothing is left to wait for
    (link,) = result.links
    assert link.failed == "cannot be written: File too large"
    assert 0 < link.unkept <= 200
    assert link.unkept_because == "the file could not be written"
    (file,) = (Path(name) for name in link.files)
    capture_file = open_capture(file)
    assert sum(len(batch) for batch in capture_file.batches()) == link.packets
    assert capture_file.damage is None


def test_a_link_that_goes_away_ends_its_capture_in_own_netns(tmp_path: Path):
    def work() -> CaptureResult:
        subprocess.run(
            ["ip", "link", "add", "one", "type", "veth", "peer", "name", "two"], check=True
        )
        subprocess.run(["ip", "link", "set", "one", "up"], check=True)
        gone = threading.Timer(0.5, subprocess.run, [["ip", "link", "delete", "one"]])
        gone.start()
        links = [LOOPBACK, Link("one", "host end", "", "", "")]
        return capture(links, tmp_path / "a", CaptureOptions(seconds=1.2))

    result = in_own_netns(work)
    assert not result.interrupted
    assert [link.failed for link in result.links] == ["", "it went down"]


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
            result = capture(links, tmp_path / "a", CaptureOptions(seconds=1.5))
            ending.join()
        return result

    result = in_own_netns(work)
    (_, link) = result.links
    assert (link.failed, link.unkept, link.dropped) == ("it went down", 0, 0)
    assert craft.tshark_matching(Path(link.files[0]), "eth.type == 0x1234") == 7
