"""The kernel's ring: drops are counted, and many rings may be open."""

from __future__ import annotations

import resource

import pytest

from tests.support.loopback import in_own_netns, send_datagrams
from twinstack.linux.packet_ring import CapturePoint, opened

pytestmark = pytest.mark.kernel


def test_packets_without_room_are_counted_as_dropped():
    def work() -> tuple[int, int]:
        with opened([CapturePoint("lo", "lo", "")]) as (ring,):
            send_datagrams(3000, size=60_000)  # 180 MB: the ring has 32 MB, and nobody reads
            ring.stop()
            ring.count()
            return ring.seen, ring.dropped

    seen, dropped = in_own_netns(work)
    assert seen + dropped == 3000
    assert dropped > 1000


def test_rings_beyond_the_limit_of_open_files_all_listen():
    def work() -> list[int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))
        with opened([CapturePoint("lo", "lo", "")] * 80) as rings:
            send_datagrams(5)
            for ring in rings:
                ring.count()
            return [ring.seen for ring in rings]

    assert in_own_netns(work) == [5] * 80
