"""Network namespaces that stand for the Docker tests' hosts."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.support.docker_world import UP_TIMEOUT_S
from tests.support.own_engine import (
    ENGINE,
    RUN,
    end_engine,
    engine_paths,
    is_ours,
    kill_engine,
    make_namespace,
    print_nothing,
    remove_namespace,
    world,
)
from twinstack.compose.engine import connect, ensure_engine
from twinstack.compose.engine_leftovers import HostState
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.world import DockerWorld

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def docker_host(engine_host: HostState) -> Iterator[HostState]:
    """Give how the engine's host was before any engine, and take the world away at the end."""
    yield engine_host
    world().clean(progress=print_nothing)


@pytest.fixture(scope="session")
def start_progress(docker_host: HostState) -> list[str]:
    """Start the engine, and give its progress lines; one with the checks' images was killed."""
    progress: list[str] = []
    if is_ours(ENGINE):
        os.sync()
        kill_engine(ENGINE)
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
