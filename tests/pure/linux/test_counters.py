"""What the kernel counts is read for what it means."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from twinstack.errors import CannotTell
from twinstack.linux import counters

STAT = "cpu  100 20 30 4000 50 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"


def test_busy_time_leaves_out_idle_waiting_and_stolen() -> None:
    assert counters.parse_stat(STAT, ticks_per_second=100) == (1_630_000, 80_000)


@pytest.mark.parametrize("text", ["", "cpu 1 2\n", "intr 1 2 3 4 5 6 7 8 9\n"])
def test_counters_that_are_not_there_cannot_be_told(text: str) -> None:
    with pytest.raises(CannotTell):
        counters.parse_stat(text, ticks_per_second=100)


def test_counters_are_read_by_protocol_and_name() -> None:
    text = "Tcp: ActiveOpens PassiveOpens\nTcp: 7 9\nUdp: InDatagrams OutDatagrams\nUdp: 1 2\n"
    assert counters.parse_snmp(text)["Tcp", "PassiveOpens"] == 9
    assert counters.parse_snmp(text)["Udp", "OutDatagrams"] == 2


def test_memory_is_read_from_the_kernel() -> None:
    assert counters.parse_pss("5581-7fff ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss: 8 kB\n") == 8192
    assert counters.pss_bytes(os.getpid()) > 1 << 20
    assert counters.pss_bytes(2**22 - 1) == 0


def test_the_time_of_ended_threads_counts() -> None:
    script = (
        "import threading, time\n"
        "def spin():\n"
        "    while time.thread_time() < 0.1: pass\n"
        "for _ in range(2):\n"
        "    thread = threading.Thread(target=spin); thread.start(); thread.join()\n"
        "print(flush=True); time.sleep(20)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert counters.cpu_us(child.pid) >= 200_000
        child.kill()
    assert counters.cpu_us(child.pid) == 0
