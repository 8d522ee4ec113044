"""A program in a session of its own ends with all that it started."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from twinstack.errors import StepFailed
from twinstack.linux import session
from twinstack.linux.session import Session


def test_the_session_of_a_program_holds_its_children_and_ends_with_it_even_when_paused() -> None:
    script = "import os, time\nos.fork()\nwhile time.process_time() < 0.1: pass\ntime.sleep(20)"
    with session.started([sys.executable, "-c", script]) as child:
        program = Session(child.pid)
        deadline = time.monotonic() + 10
        while len(program.pids()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert child.pid in program.pids()
        assert len(program.pids()) == 2
        program.pause()
    assert program.pids() == ()


def test_a_program_is_awaited_by_the_line_that_it_prints() -> None:
    script = (
        "import sys, time\nprint('once\\nready: 7', file=sys.stderr, flush=True)\ntime.sleep(9)"
    )
    pipe = subprocess.PIPE
    with session.started([sys.executable, "-c", script], stderr=pipe) as child:
        assert session.announced("it", child, "ready", within_s=9) == "ready: 7\n"
    late = "import time; time.sleep(9)"
    with (
        session.started([sys.executable, "-c", late], stderr=pipe) as child,
        pytest.raises(StepFailed, match="it: does not start: it printed nothing within"),
    ):
        session.announced("it", child, "ready", within_s=0.2)


def test_what_a_program_never_read_is_no_error_at_its_end() -> None:
    words = [sys.executable, "-c", "import time; time.sleep(9)"]
    begun = time.monotonic()
    with session.started(words, signals=[signal.SIGKILL], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write("x" * 10)
    assert child.returncode == -signal.SIGKILL
    assert time.monotonic() - begun < 3
