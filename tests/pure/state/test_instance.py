"""The journal is whole or absent, the lock one command's, and both leave nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinstack.errors import CannotTell, Locked
from twinstack.state import instance
from twinstack.state.instance import (
    InstancePaths,
    Journal,
    locked,
    read_journal,
    remove_run,
    write_journal,
)

REPOSITORY = Path(__file__).parents[3]
NAMES = st.text(st.characters(codec="ascii", categories=["Ll", "Nd", "Pd"]), max_size=12)
JOURNALS = st.builds(
    Journal,
    intended=st.lists(NAMES, max_size=4).map(tuple),
    mounted_pins=st.booleans(),
    shape=st.none() | NAMES,
    limited=st.booleans(),
)


@pytest.fixture(name="places")
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstancePaths:
    monkeypatch.setattr(instance, "RUN", tmp_path / "run")
    monkeypatch.setattr(instance, "LIB", tmp_path / "lib")
    return InstancePaths("t")


def test_instances_share_no_directory(places: InstancePaths):
    other = InstancePaths("u")
    assert {places.run, places.lib, places.log}.isdisjoint({other.run, other.lib, other.log})
    assert places.log.is_relative_to(places.lib)


def test_an_absent_journal_is_an_empty_one(places: InstancePaths):
    assert read_journal(places) == Journal()
    assert Journal().empty


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(JOURNALS)
def test_what_is_journalled_is_read_back(places: InstancePaths, journal: Journal):
    write_journal(places, journal)
    assert read_journal(places) == journal
    assert (places.run / "journal.json").exists() != journal.empty
    assert not list(places.run.glob("*.new") if places.run.is_dir() else [])


def test_an_empty_journal_is_no_file_even_where_none_was(places: InstancePaths):
    write_journal(places, Journal())
    assert not places.run.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "5",
        '"x"',
        "{}",
        '{"intended": null}',
        '{"intended": [], "odd": 1}',
        '{"namespaces": {}}',
    ],
)
def test_a_journal_that_cannot_be_understood_is_an_error_and_not_an_empty_one(
    places: InstancePaths, text: str
):
    places.run.mkdir(parents=True)
    (places.run / "journal.json").write_text(text)
    with pytest.raises(CannotTell, match="cannot be understood") as caught:
        read_journal(places)
    assert "invoke clean" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("values", [{"mounted_pins": 1}, {"intended": "abc"}, {"limited": "no"}])
def test_a_journal_of_other_kinds_of_values_is_an_error(
    places: InstancePaths, values: dict[str, object]
):
    places.run.mkdir(parents=True)
    (places.run / "journal.json").write_text(json.dumps({"intended": [], **values}))
    with pytest.raises(CannotTell):
        read_journal(places)


def test_bytes_that_are_no_text_are_an_error(places: InstancePaths):
    places.run.mkdir(parents=True)
    (places.run / "journal.json").write_bytes(b"\xff\xfe")
    with pytest.raises(CannotTell):
        read_journal(places)


def test_a_second_command_is_told_who_holds_the_lock(places: InstancePaths):
    with (
        locked(places, "net"),
        pytest.raises(Locked, match=rf"instance t: is being changed: by pid {os.getpid()} "),
        locked(places, "net"),
    ):
        pass


def test_the_lock_is_free_after_its_holder_and_after_its_failure(places: InstancePaths):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(places, "net"):
            raise ZeroDivisionError


def test_other_worlds_and_instances_are_not_locked(places: InstancePaths):
    with locked(places, "net"), locked(places, "docker"), locked(InstancePaths("u"), "net"):
        assert {one.name for one in places.run.iterdir()} == {"net.lock", "docker.lock"}


def test_a_holder_that_was_killed_holds_no_more(places: InstancePaths):
    script = (
        "import sys; from pathlib import Path; from twinstack import state\n"
        "state.RUN = Path(sys.argv[1])\n"
        "with state.locked(state.InstancePaths('t'), 'net'): print('held', flush=True); input()\n"
    )
    command = [sys.executable, "-c", script, str(instance.RUN)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=f"by pid {child.pid} "), locked(places, "net"):
            pass
        child.send_signal(signal.SIGKILL)
        child.wait(5)
        with locked(places, "net"):
            pass


def test_the_children_of_a_killed_holder_are_waited_for(places: InstancePaths):
    script = (
        "import os, sys, time; from pathlib import Path; from twinstack import state\n"
        "state.RUN = Path(sys.argv[1])\n"
        "with state.locked(state.InstancePaths('t'), 'net'):\n"
        "    if os.fork() == 0: time.sleep(1); os._exit(0)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", script, str(instance.RUN)]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
    with (places.run / "net.lock").open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the child has it still
    with locked(places, "net"):
        pass


def test_the_lock_is_for_root_alone_and_not_inherited(places: InstancePaths):
    with locked(places, "net"):
        assert (places.run / "net.lock").stat().st_mode & 0o777 == 0o600
        done = subprocess.run(["ls", "/proc/self/fd"], capture_output=True, text=True, check=True)
        assert len(done.stdout.split()) <= 4


def test_removal_leaves_no_directory(places: InstancePaths):
    with locked(places, "net"):
        remove_run(places, "net")
    assert not instance.RUN.exists()


def test_removal_keeps_what_another_world_or_instance_needs(places: InstancePaths):
    write_journal(InstancePaths("u"), Journal(intended=("a",)))
    with locked(places, "net"), locked(places, "docker"):
        remove_run(places, "net")
        assert [one.name for one in places.run.iterdir()] == ["docker.lock"]
    remove_run(places, "docker")
    assert [one.name for one in instance.RUN.iterdir()] == ["u"]
    remove_run(places, "docker")
