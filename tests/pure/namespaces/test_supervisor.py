"""The supervisor is known by its pid and its file, and what it says is taken as it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from twinstack.errors import StepFailed
from twinstack.namespaces import supervisor
from twinstack.state import paths
from twinstack.state.paths import InstancePaths


@pytest.fixture(name="places")
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstancePaths:
    monkeypatch.setattr(paths, "RUN", tmp_path)
    places = InstancePaths("t")
    places.run.mkdir()
    return places


def test_nothing_is_supervised_where_no_supervisor_was(places: InstancePaths):
    assert supervisor.pid(places) is None
    assert supervisor.observe(places) == supervisor.Supervised()
    assert supervisor.stop(places) is False


@pytest.mark.parametrize("text", ["", "abc", "-1", "99999999", "1 2"])
def test_an_unreadable_pid_file_is_no_supervisor(places: InstancePaths, text: str):
    (places.run / "supervisord.pid").write_text(text)
    assert supervisor.pid(places) is None


def test_another_process_that_got_the_pid_is_no_supervisor(places: InstancePaths):
    (places.run / "supervisord.pid").write_text(f"{os.getpid()}\n")
    assert supervisor.pid(places) is None
    assert supervisor.stop(places) is False


def test_the_process_with_our_file_is_the_supervisor(places: InstancePaths):
    command = [sys.executable, "-c", "input()", str(supervisor.conf_path(places))]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        (places.run / "supervisord.pid").write_text(f"{child.pid}\n")
        deadline = time.monotonic() + 5
        while supervisor.pid(places) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert supervisor.pid(places) == child.pid
        assert supervisor.pid(InstancePaths("u")) is None
        # It does not answer: nothing can be said of its programs.
        assert supervisor.observe(places) == supervisor.Supervised(child.pid)
        child.communicate(b"\n", timeout=5)


def test_a_supervisor_that_does_not_answer_is_an_error(places: InstancePaths):
    with pytest.raises(StepFailed, match="supervisor: does not answer"):
        supervisor.call(places, "getState")


def test_starts_are_counted_by_program(places: InstancePaths):
    assert not supervisor._starts(places)
    (places.run / "supervisord.log").write_text(
        "2026-01-01 INFO spawned: 'redis-cache' with pid 1\n"
        "2026-01-01 INFO success: redis-cache entered RUNNING state\n"
        "2026-01-01 INFO spawned: 'redis-cache' with pid 2\n"
        "2026-01-01 INFO spawned: 'nginx-lb' with pid 3\n"
    )
    assert supervisor._starts(places) == {"redis-cache": 2, "nginx-lb": 1}
