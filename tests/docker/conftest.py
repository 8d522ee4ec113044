"""The host that the Docker tests play on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.docker.own_engine import NAMESPACE, PLACE, PREFIX, in_namespace, print_nothing, world
from twinstack.compose.engine import stop_engine
from twinstack.compose.leftovers import Before, observe


@pytest.fixture(scope="session")
def host() -> Iterator[Before]:
    """Make a network namespace that plays the host, and say how it was before any engine."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not shutil.which("dockerd"):
        pytest.skip("needs dockerd (make setup)")
    stop_engine(PLACE, print_nothing)
    subprocess.run(["ip", "netns", "delete", NAMESPACE], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    in_namespace("ip", "link", "set", "lo", "up")
    try:
        yield observe(PREFIX)
    finally:
        world().clean(progress=print_nothing)
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=True)
        shutil.rmtree(PLACE.state.parent, ignore_errors=True)
