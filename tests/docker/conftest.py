"""Network namespaces that stand for the Docker tests' hosts."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.support.docker_world import UP_TIMEOUT_S
from tests.support.own_engine import (
    ENGINE,
    PREFIX,
    RUN,
    end_engine,
    engine_paths,
    make_namespace,
    print_nothing,
    remove_namespace,
    remove_what_dead_runs_left,
    world,
)
from twinstack.compose.engine import connect, ensure_engine
from twinstack.compose.engine_leftovers import HostState, observe
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.world import DockerWorld

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def able() -> None:
    """Skip where no engine can be started."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not shutil.which("dockerd"):
        pytest.skip("needs dockerd (make setup)")
    remove_what_dead_runs_left()


@pytest.fixture(scope="session")
def docker_host(able: None) -> Iterator[HostState]:
    """Make a network namespace that plays the host, and say how it was before any engine."""
    make_namespace(str(RUN))
    try:
        yield observe(PREFIX)
    finally:
        world().clean(progress=print_nothing)
        remove_namespace(str(RUN))
        for directory in (ENGINE.state.parent, ENGINE.data_root.parent):
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def start_progress(docker_host: HostState) -> list[str]:
    """Start the engine, and give its progress lines."""
    progress: list[str] = []
    assert connect(ENGINE) is None
    ensure_engine(ENGINE, progress.append).close()
    return progress


@pytest.fixture(scope="module")
def up(start_progress: list[str]) -> DockerWorld:
    """Give the flat world, up; the modules share it, and it goes with its host."""
    flat = world()
    flat.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    return flat


@pytest.fixture
def engine(able: None) -> Iterator[EnginePaths]:
    """Give the paths of an engine on a host of its own for one test, and empty it."""
    name = f"{RUN}-{next(_numbers)}"
    make_namespace(name)
    made = engine_paths(name)
    try:
        yield made
    finally:
        end_engine(made)
        remove_namespace(name)
