"""A task in a child of the loaded process ends as the program does, and one that hangs is ended."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support import task_server
from tests.support.project import ROOT
from tests.support.sandbox import INVOKE

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
