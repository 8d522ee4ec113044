"""Engines of ours beside each other and beside a foreign one: each ends only what is its own."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient

from tests.support.own_engine import (
    end_engine,
    hidden_engine,
    import_sleep,
    in_namespace,
    is_ours,
    print_nothing,
    start_sleep,
)
from twinstack.compose import engine_leftovers
from twinstack.compose.engine import connect, ensure_engine
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.engine_record import read_record
from twinstack.compose.engine_stop import stop_engine
from twinstack.compose.teardown import clean
from twinstack.errors import StepFailed, TwinstackError
from twinstack.linux import iptables

pytestmark = pytest.mark.docker
INSTANCE = f"de{os.getpid()}"


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait(truth: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_daemon(engine: EnginePaths) -> None:
    pid = json.loads(engine.record.read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not runs(pid))


def cgroups_of(engine: EnginePaths) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"**/{engine.cgroup_parent.strip('/')}*"))


def shared(engine: EnginePaths) -> tuple[object, ...]:
    """Look at what every engine of a host shares; iptables-save without its times."""
    seen = engine_leftovers.observe(engine.prefix)
    rules = [iptables.parse_save(re.sub(r"\[\d+:\d+\]", "", text)) for text in seen.rules.values()]
    return seen.sysctls, rules, seen.files, seen.bridges


def test_stopping_one_engine_leaves_another_of_equal_paths_its_processes(engine: EnginePaths):
    client = ensure_engine(engine, print_nothing)
    import_sleep(client, "sleep:1", "twinstack.kind=image")
    ours = start_sleep(client, "sleep:1")
    with hidden_engine(engine) as other:
        theirs = int(other.do("up"))
        assert runs(theirs)
        other.do("down")
        wait(lambda: not runs(theirs))
        assert runs(ours)
        assert [container.status for container in client.containers.list(all=True)] == ["running"]


def test_a_foreign_engine_at_the_socket_keeps_all_that_engines_share(engine: EnginePaths):
    client = ensure_engine(engine, print_nothing)
    import_sleep(client, "twinstack-base-sleep:1", "twinstack.kind=base")
    orphan = start_sleep(client, "twinstack-base-sleep:1")
    kill_daemon(engine)
    foreign = replace(
        engine,
        data_root=engine.data_root.with_name(engine.data_root.name + "-foreign"),
        state=engine.state.with_name("foreign"),
        cgroup_parent=f"{engine.cgroup_parent}-foreign",
    )
    try:
        answering = ensure_engine(foreign, print_nothing)
        import_sleep(answering, "sleep:1")
        theirs = start_sleep(answering, "sleep:1")
        before = shared(engine)
        progress: list[str] = []
        # A container without our label in our own data is foreign: they stay.
        with pytest.raises(TwinstackError, match=rf"{engine.data_root}: is not removed: it holds"):
            stop_engine(engine, progress.append)
        assert "another's answers" in progress[0]
        assert engine.data_root.exists()
        shutil.rmtree(engine.data_root / "containers")
        assert f"engine: {engine.data_root}" in stop_engine(engine, progress.append)
        assert not engine.data_root.exists()
        assert not engine.state.exists()
        assert not runs(orphan)
        assert runs(theirs)
        assert shared(engine) == before
        assert "docker0" in in_namespace("ip", "link", prefix=engine.prefix)
        assert answering.ping()
        assert connect(engine) is not None
    finally:
        end_engine(foreign)


def test_our_engine_that_lost_its_socket_to_a_foreign_one_is_ended_alone(engine: EnginePaths):
    ensure_engine(engine, print_nothing).close()
    pid = json.loads(engine.record.read_text())["pid"]
    engine.socket.unlink()
    foreign = replace(
        engine,
        data_root=engine.data_root.with_name(engine.data_root.name + "-foreign"),
        state=engine.state.with_name("foreign"),
        cgroup_parent=f"{engine.cgroup_parent}-foreign",
    )
    try:
        answering = ensure_engine(foreign, print_nothing)
        assert f"engine: dockerd {pid} ended" in stop_engine(engine, print_nothing)
        assert not runs(pid)
        assert connect(engine) is not None
        assert answering.ping()
    finally:
        end_engine(foreign)


def test_an_engine_that_holds_a_foreign_volume_or_image_is_left_running(engine: EnginePaths):
    client = ensure_engine(engine, print_nothing)
    client.volumes.create("theirs")
    import_sleep(client, "theirs:1")
    import_sleep(client, "twinstack-base-sleep:1", "twinstack.kind=base")
    progress: list[str] = []
    assert stop_engine(engine, progress.append) == ()
    assert is_ours(engine)
    assert progress == ["engine: left running: it still holds image theirs:1, volume theirs"]
    client.volumes.get("theirs").remove()
    client.images.remove("theirs:1")
    assert stop_engine(engine, progress.append)
    assert not engine.data_root.exists()
    assert cgroups_of(engine) == []


def test_data_without_a_record_are_looked_into_before_they_go(
    engine: EnginePaths, monkeypatch: pytest.MonkeyPatch
):
    ensure_engine(engine, print_nothing).volumes.create("theirs")
    kill_daemon(engine)
    record = read_record(engine)
    assert record is not None
    engine_leftovers.remove_own(engine, record.token, data=False)
    shutil.rmtree(engine.state)
    engine.socket.unlink(missing_ok=True)  # as after a reboot

    with monkeypatch.context() as without:
        without.setattr(shutil, "which", lambda _name: None)
        with pytest.raises(TwinstackError, match=rf"{engine.data_root}: is not removed: .*dockerd"):
            clean(INSTANCE, progress=print_nothing, engine=engine)
    assert (engine.data_root / "volumes/theirs/_data").exists()

    progress: list[str] = []
    clean(INSTANCE, progress=progress.append, engine=engine)
    assert "left running: it still holds volume theirs" in progress[-1]
    client = connect(engine)
    assert client is not None
    client.volumes.get("theirs").remove()
    client.close()
    clean(INSTANCE, progress=print_nothing, engine=engine)
    assert not engine.data_root.exists()
    assert not engine.state.exists()


def test_data_stay_when_the_dead_engine_cannot_be_started_again(
    engine: EnginePaths, monkeypatch: pytest.MonkeyPatch
):
    ensure_engine(engine, print_nothing).volumes.create("theirs")
    kill_daemon(engine)
    with monkeypatch.context() as without:
        without.setattr(shutil, "which", lambda _name: None)
        with pytest.raises(TwinstackError, match=rf"{engine.data_root}: is not removed"):
            clean(INSTANCE, progress=print_nothing, engine=engine)
    assert (engine.data_root / "volumes/theirs/_data").exists()
    assert "docker0" not in in_namespace("ip", "link", prefix=engine.prefix)
    assert "DOCKER" not in in_namespace("iptables-save", prefix=engine.prefix)


def test_an_engine_whose_start_was_cut_short_is_still_ours(engine: EnginePaths):
    ensure_engine(engine, print_nothing).close()
    record = json.loads(engine.record.read_text())
    engine.record.write_text(json.dumps({**record, "pid": 0, "ticks": 0}))
    assert is_ours(engine)
    assert f"engine: dockerd {record['pid']} stopped" in stop_engine(engine, print_nothing)
    assert not runs(record["pid"])


def build(client: DockerClient, base: str, name: str) -> None:
    dockerfile = io.BytesIO(f"FROM {base}\nENV theirs=1\n".encode())
    client.images.build(fileobj=dockerfile, tag=name, rm=True)


def test_a_foreign_image_built_from_ours_survives_and_one_in_use_is_named(engine: EnginePaths):
    client = ensure_engine(engine, print_nothing)
    labels = ("twinstack.kind=image", f"twinstack.instance={INSTANCE}")
    import_sleep(client, "twinstack-base-sleep:host", "twinstack.kind=base")
    import_sleep(client, f"twinstack-{INSTANCE}/free:latest", *labels)
    import_sleep(client, f"twinstack-{INSTANCE}/used:latest", *labels, "one=more")
    build(client, f"twinstack-{INSTANCE}/free", "theirs:1")
    build(client, "twinstack-base-sleep:host", "theirs:2")
    start_sleep(client, f"twinstack-{INSTANCE}/used:latest")

    with pytest.raises(StepFailed, match=rf"twinstack-{INSTANCE}/used:latest.*the engine refuses"):
        clean(INSTANCE, progress=print_nothing, engine=engine)
    left = {tag for image in client.images.list() for tag in image.tags}
    assert left == {"theirs:1", "theirs:2", f"twinstack-{INSTANCE}/used:latest"}
    assert is_ours(engine)

    client.containers.list()[0].remove(force=True)
    progress: list[str] = []
    assert clean(INSTANCE, progress=progress.append, engine=engine) == (
        f"image twinstack-{INSTANCE}/used:latest",
    )
    assert sorted(tag for image in client.images.list() for tag in image.tags) == [
        "theirs:1",
        "theirs:2",
    ]
    assert progress[-1] == "engine: left running: it still holds image theirs:1, image theirs:2"
