"""Counters are read for what they mean, and connections leave the machine its tables."""

from __future__ import annotations

import socket
import subprocess
import sys
from ipaddress import IPv4Address

import pytest

from bench.engine import meter
from bench.engine.meter import Room
from twinstack.errors import CannotTell

STAT = "cpu  100 20 30 4000 50 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100000A:D431 0A00000A:0050 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100000A:D432 0A00000A:0050 06 00000000:00000000 00:00000000 00000000     0        0 0 3
"""


def test_busy_time_leaves_out_idle_waiting_and_stolen() -> None:
    assert meter.parse_stat(STAT, ticks_per_second=100) == (1_630_000, 80_000)


@pytest.mark.parametrize("text", ["", "cpu 1 2\n", "intr 1 2 3 4 5 6 7 8 9\n"])
def test_counters_that_are_not_there_cannot_be_told(text: str) -> None:
    with pytest.raises(CannotTell):
        meter.parse_stat(text, ticks_per_second=100)


def test_only_established_connections_count() -> None:
    assert [(IPv4Address("10.0.0.10"), 80)] == meter.parse_connections(TCP)


def test_connections_that_wait_are_counted_by_destination() -> None:
    assert meter.parse_connections(TCP, "06") == [(IPv4Address("10.0.0.10"), 80)]
    found = meter.room("127.0.0.1", 9)
    assert found.ports > 1_000
    assert found.waiting == 0


def test_an_open_connection_is_seen_and_a_closed_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert meter.connections("127.0.0.1", port) == 0
        with socket.create_connection(("127.0.0.1", port)):
            assert meter.connections("127.0.0.1", port) == 1


def test_snapshots_only_grow() -> None:
    first, second = meter.snapshot(), meter.snapshot()
    assert first.clock_s <= second.clock_s
    assert first.busy_us <= second.busy_us


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (Room(28_000, 0), ""),
        (Room(28_000, 20_000), ""),
        (Room(28_000, 22_000), "local ports"),
        (Room(28_000, 0, 10_000, 65_536), ""),
        (Room(28_000, 0, 60_000, 65_536), "conntrack entries"),
        (Room(28_000, 0, None, None), ""),
    ],
)
def test_connections_wait_for_room_in_the_kernel_s_tables(room: Room, expected: str) -> None:
    assert room.lacks(1_000) == expected


def test_a_lone_run_never_waits() -> None:
    assert Room(28_000, 0, 10, 65_536).lacks(1_000_000) == ""


def test_what_replicas_spent_is_the_difference_of_two_readings() -> None:
    assert meter.spent_us({"a": 1, "b": 2}, {"a": 3, "b": 5}) == {"a": 2, "b": 3}


@pytest.mark.parametrize("after", [{"product-service": 3, "x": 2}, {"x": 2}])
def test_a_replica_that_restarted_spoils_the_trial(after: dict[str, int]) -> None:
    with pytest.raises(CannotTell, match="product-service: restarted"):
        meter.spent_us({"product-service": 9, "x": 1}, after)


def test_the_load_generators_cpu_time_is_not_the_hosts() -> None:
    script = "import time\nwhile time.process_time() < 0.3: pass"
    words = [sys.executable, "-c", script]
    done, spent = meter.during([], lambda: subprocess.run(words, check=True))
    assert done.returncode == 0
    assert spent.client_us >= 300_000
    assert spent.seconds >= 0.3
    assert spent.host_us >= 0
