"""A task in a child of the loaded process ends as the program does, and one that hangs is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support import task_server
from tests.support.project import ROOT
from tests.support.sandbox import INVOKE
from twinstack.linux.waiting import until

#: Tasks that end otherwise than ours do.
LEFT = """
import atexit, os, sys, threading, time
from invoke import task

def work():
    time.sleep(0.2)
    print("a thread's end")

@task
def leave(_):
    atexit.register(print, "at exit")
    threading.Thread(target=work).start()
    sys.exit("why it ends")

@task
def stay(_, file):
    with open(file, "w") as written:
        written.write(str(os.getpid()))
    time.sleep(60)
"""
OWN = {**os.environ, "TWINSTACK_INSTANCE": "t-server", "COLUMNS": "80"}


@pytest.mark.parametrize(
    "line", ["policy.show --json", "net.logs nobody", "no.such.task", "net.up --help", "topology"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_task_prints_and_ends_as_the_program_does(line: str, encoding: str) -> None:
    own = {**OWN, "PYTHONIOENCODING": encoding, "TWINSTACK_TOPOLOGY": "topology.yml"}
    program = subprocess.run(
        [INVOKE, *line.split()],
        cwd=ROOT,
        env=own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    done = task_server.run(0, own, line.split(), 60)
    assert (done.returncode, done.stdout, done.stderr) == (
        program.returncode,
        program.stdout,
        program.stderr,
    )


def test_a_task_has_the_environment_that_it_is_given() -> None:
    own = {**OWN, "TWINSTACK_TOPOLOGY": "/nowhere"}
    done = task_server.run(0, own, ["policy.show"], 60)
    assert (done.returncode, "/nowhere: cannot be read" in done.stderr) == (64, True)
    assert task_server.run(0, OWN, ["policy.show"], 60).returncode == 0


def test_a_task_that_hangs_is_ended_and_the_next_one_runs() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        task_server.run(0, OWN, ["policy.show"], 0.0)
    assert task_server.run(0, OWN, ["policy.show"], 60).returncode == 0


@pytest.fixture
def left(tmp_path: Path) -> list[str]:
    (tmp_path / "left.py").write_text(LEFT)
    return ["--search-root", str(tmp_path), "--collection", "left"]


def test_a_task_ends_with_its_threads_and_exit_functions(left: list[str]) -> None:
    program = subprocess.run(
        [INVOKE, *left, "leave"], env=OWN, capture_output=True, text=True, check=False
    )
    assert "a thread's end\nat exit\n" in program.stdout
    done = task_server.run(0, OWN, [*left, "leave"], 60)
    assert (done.returncode, done.stdout, done.stderr) == (
        program.returncode,
        program.stdout,
        program.stderr,
    )


def test_ctrl_c_ends_the_task_that_is_waited_for(left: list[str], tmp_path: Path) -> None:
    file = tmp_path / "pid"

    def interrupt() -> None:
        until(lambda: file.exists() and file.read_text(), 30)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        task_server.run(0, OWN, [*left, "stay", "--file", str(file)], 60)
    assert until(lambda: not Path("/proc", file.read_text()).exists(), 5)
