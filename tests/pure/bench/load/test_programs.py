"""Reference programs start in their root tree and network, and are known by their session."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.load import programs
from bench.load.programs import Program, Session
from twinstack.errors import StepFailed


def test_a_program_is_started_in_its_tree_and_network() -> None:
    words = programs.launch_words(
        Program("x", ("/bin/true",), Path("/tree"), ((Path("/a b"), "/mnt"),), {"K": "v"}, 42)
    )
    assert words[:2] == ["nsenter", "--net=/proc/42/ns/net"]
    assert "mount --bind '/a b' \"$root\"/mnt" in words[-1]
    assert "--no-new-privs" in words[-1]
    assert "env -i K=v /bin/true" in words[-1]


def test_the_session_of_a_program_holds_its_children_and_ends_with_it_even_when_paused() -> None:
    script = "import os, time\nos.fork()\nwhile time.process_time() < 0.1: pass\ntime.sleep(20)"
    with programs.started([sys.executable, "-c", script]) as child:
        program = Session(child.pid)
        deadline = time.monotonic() + 10
        while len(program.pids()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert child.pid in program.pids()
        assert len(program.pids()) == 2
        program.pause()
    assert program.pids() == ()


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
        assert programs.cpu_us(child.pid) >= 200_000
        child.kill()
    assert programs.cpu_us(child.pid) == 0


def test_a_program_is_awaited_by_the_line_that_it_prints() -> None:
    script = (
        "import sys, time\nprint('once\\nready: 7', file=sys.stderr, flush=True)\ntime.sleep(9)"
    )
    pipe = subprocess.PIPE
    with programs.started([sys.executable, "-c", script], stderr=pipe) as child:
        assert programs.announced("it", child, "ready", within_s=9) == "ready: 7\n"
    late = "import time; time.sleep(9)"
    with (
        programs.started([sys.executable, "-c", late], stderr=pipe) as child,
        pytest.raises(StepFailed, match="it: does not start: it printed nothing within"),
    ):
        programs.announced("it", child, "ready", within_s=0.2)


def test_what_a_program_never_read_is_no_error_at_its_end() -> None:
    words = [sys.executable, "-c", "import time; time.sleep(9)"]
    begun = time.monotonic()
    with programs.started(words, signals=[signal.SIGKILL], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write("x" * 10)
    assert child.returncode == -signal.SIGKILL
    assert time.monotonic() - begun < 3
