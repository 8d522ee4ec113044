"""The lock is one command's, and leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from tests.support.project import ROOT
from twinstack.errors import Locked
from twinstack.state import paths as directories
from twinstack.state.journal import Journal, write_journal
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths


def test_a_second_command_is_told_who_holds_the_lock(paths: InstancePaths):
    with (
        locked(paths, "net"),
        pytest.raises(Locked, match=rf"instance t: is being changed: by pid {os.getpid()} "),
        locked(paths, "net"),
    ):
        pass


def test_the_lock_is_free_after_its_holder_and_after_its_failure(paths: InstancePaths):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(paths, "net"):
            raise ZeroDivisionError


def test_other_worlds_and_instances_are_not_locked(paths: InstancePaths):
    with locked(paths, "net"), locked(paths, "docker"), locked(InstancePaths("u"), "net"):
        assert {file.name for file in paths.run.iterdir()} == {"net.lock", "docker.lock"}


def test_a_holder_that_was_killed_holds_no_more(paths: InstancePaths):
    script = (
        "import sys; from pathlib import Path; from twinstack.state import lock, paths\n"
        "paths.RUN = Path(sys.argv[1])\n"
        "with lock.locked(paths.InstancePaths('t'), 'net'): print('held', flush=True); input()\n"
    )
    command = [sys.executable, "-c", script, str(directories.RUN)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=f"by pid {child.pid} "), locked(paths, "net"):
            pass
        child.send_signal(signal.SIGKILL)
        child.wait(5)
        with locked(paths, "net"):
            pass


def test_the_children_of_a_killed_holder_are_waited_for(paths: InstancePaths):
    script = (
        "import os, sys, time; from pathlib import Path; from twinstack.state import lock, paths\n"
        "paths.RUN = Path(sys.argv[1])\n"
        "with lock.locked(paths.InstancePaths('t'), 'net'):\n"
        "    if os.fork() == 0: time.sleep(1); os._exit(0)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", script, str(directories.RUN)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    with (paths.run / "net.lock").open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the child has it still
    with locked(paths, "net"):
        pass


def test_the_lock_is_for_root_alone_and_not_inherited(paths: InstancePaths):
    with locked(paths, "net"):
        assert (paths.run / "net.lock").stat().st_mode & 0o777 == 0o600
        done = subprocess.run(["ls", "/proc/self/fd"], capture_output=True, text=True, check=True)
        assert len(done.stdout.split()) <= 4


def test_removal_leaves_no_directory(paths: InstancePaths):
    with locked(paths, "net"):
        remove_run(paths, "net")
    assert not directories.RUN.exists()


def test_removal_keeps_what_another_world_or_instance_needs(paths: InstancePaths):
    write_journal(InstancePaths("u"), Journal(intended=("a",)))
    with locked(paths, "net"), locked(paths, "docker"):
        remove_run(paths, "net")
        assert [file.name for file in paths.run.iterdir()] == ["docker.lock"]
    remove_run(paths, "docker")
    assert [file.name for file in directories.RUN.iterdir()] == ["u"]
    remove_run(paths, "docker")
