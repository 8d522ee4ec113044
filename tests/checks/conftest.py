"""Checks that come in two lengths: a sample in `make test`, the whole by `invoke check.*`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.docker_steps import ENGINE, INSTANCE, only_images, snapshot, world
from tests.support.own_engine import cgroups_of, print_nothing
from twinstack.compose.render import state_directory
from twinstack.compose.teardown import clean


@pytest.fixture(scope="session")
def docker_host(engine_host: object) -> Iterator[dict[str, object]]:
    """Give the state of the engine's host before; what a check forgot ends the session."""
    yield snapshot()
    clean(INSTANCE, progress=print_nothing, engine=ENGINE)
    assert not state_directory(INSTANCE).parent.exists()
    assert cgroups_of(ENGINE) == []


@pytest.fixture(scope="module")
def images(docker_host: object) -> Iterator[None]:
    """Give an engine that holds the images and nothing else of ours, and leave it so.

    Whatever files share the session, and in whatever order: none meets what another left running.
    """
    only_images()
    world().build(progress=print_nothing)
    os.sync()  # A commit under load would wait for what was built to reach the disk.
    try:
        yield
    finally:
        only_images()
