"""Under load a capture loses nothing that it does not count: both ends of a link, to the packet."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import craft
from tests.support.loopback import in_own_netns
from twinstack.observe.capture.record import capture
from twinstack.observe.capture.report import CaptureResult
from twinstack.observe.capture.targets import CaptureOptions
from twinstack.world import Link

FULL, SAMPLE, SEED = 2_000_000, 30_000, 20261125
ENDS = ("one", "two")


def frames(count: int, ready: threading.Event) -> None:
    """Send frames of every length through the link, in bursts, as fast as it goes; then Ctrl-C."""
    dice = random.Random(SEED)
    payload = dice.randbytes(1500)
    heads = [craft.ethernet(craft.ipv4(craft.NGINX, craft.GATEWAY, 17, craft.udp(7, 9)), 0x0800)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((ENDS[0], 0))
        ready.wait(10)
        for number in range(count):
            sock.send(heads[0] + payload[: dice.randrange(1, 1450)])
            if number % 5000 == 4999:
                time.sleep(dice.random() / 50)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("snap", [128, 0])
def test_every_packet_is_kept_or_counted_as_lost(
    full: bool, tell: Callable[[str], None], tmp_path: Path, snap: int
):
    count = FULL if full else SAMPLE

    def work() -> CaptureResult:
        subprocess.run(
            ["ip", "link", "add", ENDS[0], "type", "veth", "peer", "name", ENDS[1]], check=True
        )
        for end in ENDS:
            subprocess.run(["ip", "link", "set", end, "addrgenmode", "none", "up"], check=True)
        ready = threading.Event()
        sending = threading.Thread(target=frames, args=(count, ready))
        sending.start()
        threading.Timer(0.5, ready.set).start()
        links = [Link(end, "host end", "", "", "") for end in ENDS]
        result = capture(links, tmp_path / "a", CaptureOptions(0, snap, 4_000_000_000, 1))
        sending.join()
        return result

    result = in_own_netns(work)
    for link in result.links:
        assert link.packets + link.dropped == count, link
        assert craft.tshark_counts(Path(link.files[0])) == (link.packets, link.bytes)
        tell(
            f"{link.link}, snap {snap}: {count} frames sent, {link.packets} kept, "
            f"{link.dropped} counted as lost, as tshark counts"
        )
