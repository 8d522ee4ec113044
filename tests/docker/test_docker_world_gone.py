"""`clean` after the engine was killed: nothing is left. Last: the other modules share its world."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.docker_world import UP_TIMEOUT_S, until
from tests.support.own_engine import (
    ENGINE,
    INSTANCE,
    PREFIX,
    cgroups_of,
    in_namespace,
    print_nothing,
)
from twinstack.compose import engine_leftovers, teardown
from twinstack.compose.engine import connect
from twinstack.compose.render import state_directory
from twinstack.compose.world import DockerWorld
from twinstack.software.building import mounts_beneath

pytestmark = pytest.mark.docker


def test_clean_leaves_the_host_as_it_was_even_after_the_engine_was_killed(
    up: DockerWorld, docker_host: engine_leftovers.HostState
):
    up.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    assert engine_leftovers.observe(PREFIX) != docker_host
    assert len(in_namespace("ip", "-o", "link").splitlines()) > 1
    assert cgroups_of(ENGINE)
    listed = teardown.removable(INSTANCE, engine=ENGINE)
    kept = set(listed).difference(teardown.removable(INSTANCE, engine=ENGINE, keep_stores=True))
    assert {name.partition(" ")[0] for name in kept} == {"volume", "engine", "secrets"}
    assert f"container twinstack-{INSTANCE}-redis-cache" in listed
    assert all(state.state == "healthy" for state in up.status())
    process = json.loads(ENGINE.record.read_text())["pid"]
    orphan = next(state.pid for state in up.status() if state.name == "redis-cache")
    os.kill(process, signal.SIGKILL)
    until(lambda: connect(ENGINE) is None, 10)
    progress: list[str] = []
    assert up.clean(progress=progress.append), progress

    after = engine_leftovers.observe(PREFIX)
    assert after.sysctls["net/ipv4/ip_forward"] == docker_host.sysctls["net/ipv4/ip_forward"]
    assert (after.files, after.bridges) == (docker_host.files, [])
    for family in docker_host.rules:
        assert "docker" not in after.rules[family].lower()
        assert "DROP" not in after.rules[family]
    # A connection whose other end is gone keeps a container's network, and its link, for 100 s.
    until(lambda: len(in_namespace("ip", "-o", "link").splitlines()) == 1, 10)
    assert orphan is not None
    assert not Path(f"/proc/{orphan}").exists()
    assert not ENGINE.data_root.exists()
    assert not ENGINE.state.exists()
    assert not ENGINE.socket.exists()
    assert not state_directory(INSTANCE).exists()
    for directory in (ENGINE.data_root, ENGINE.state.parent):
        assert mounts_beneath(directory) == []
    assert cgroups_of(ENGINE) == []
    assert up.clean(progress=print_nothing) == ()
