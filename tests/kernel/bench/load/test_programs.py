"""Reference programs run without privileges, and none is left when they are done with."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.engine import loads
from bench.load import programs
from bench.load.programs import Program, await_port, free_port, running
from tests.support.project import ROOT
from twinstack.errors import NotHealthy
from twinstack.linux.session import Session
from twinstack.world import Endpoint

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="starts programs as another user: needs root"),
]
PYTHON = "/usr/bin/python3"


def web_server(port: int) -> Program:
    words = (PYTHON, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", "/proc")
    return Program("web", words)


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_program_runs_without_privileges_while_the_block_lasts() -> None:
    port = free_port()
    with running([web_server(port)]) as started:
        program = started["web"]
        await_port(program, "127.0.0.1", port)
        status = status_of(program.pid)
        assert status["Uid"].split() == [str(programs.USER)] * 4
        assert (status["CapEff"], status["NoNewPrivs"]) == ("0000000000000000", "1")
        loads.get_ok(Endpoint("127.0.0.1", port), "/version")
        assert program.pids() == (program.pid,)
    assert not program.pids()
    assert not Path(f"/proc/{program.pid}").exists()


def test_program_that_cannot_start_is_reported_with_the_end_of_its_log() -> None:
    broken = Program("broken", (PYTHON, "-c", "raise SystemExit('no such thing')"))
    with running([broken]) as started, pytest.raises(NotHealthy, match="no such thing"):
        await_port(started["broken"], "127.0.0.1", free_port())


def test_programs_are_gone_after_a_failure_in_the_block() -> None:
    port = free_port()
    pids = []
    with contextlib.suppress(ZeroDivisionError), running([web_server(port)]) as started:
        await_port(started["web"], "127.0.0.1", port)
        pids.append(started["web"].pid)
        raise ZeroDivisionError
    assert not Session(pids[0]).pids()


def test_programs_are_gone_after_the_benchmark_was_killed(tmp_path: Path) -> None:
    port = free_port()
    script = (
        "import sys, time; from bench.load.programs import *\n"
        f"program = Program('web', ({PYTHON!r}, '-m', 'http.server', '{port}'))\n"
        "with running([program]) as started:\n"
        f"    await_port(started['web'], '127.0.0.1', {port})\n"
        "    print(started['web'].pid, flush=True); time.sleep(60)\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # its log outlives it
    )
    assert killed.stdout is not None
    pid = int(killed.stdout.readline())
    killed.kill()
    killed.wait()
    deadline = time.monotonic() + 5
    while Session(pid).pids() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Session(pid).pids()


def test_program_in_a_tree_leaves_no_mount_behind(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("tmp", "run", "dev", "proc", "mnt"):
        (tree / name).mkdir(parents=True)
    with running([Program("lost", ("/bin/true",), tree=tree)]) as started:
        started["lost"].tail()  # chroot finds no /usr/bin/setpriv there: the program ends
    assert str(tree) not in Path("/proc/self/mountinfo").read_text()
