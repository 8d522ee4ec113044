"""Fixtures of every level: a host for each module, the services' software, output past capture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.project import ROOT
from tests.support.sandbox import Sandbox, sandbox

if TYPE_CHECKING:
    from twinstack.compose.engine_leftovers import HostState


@pytest.fixture(scope="session")
def software() -> None:
    """Build what the services run on, outside of the sandboxes, where the package mirrors are."""
    from twinstack.stack import Stack

    if os.geteuid() != 0:
        pytest.skip("needs root: the test makes network namespaces")
    Stack("main", ROOT / "topology.yml").software(print)


@pytest.fixture(scope="session")
def able() -> None:
    """Skip where no engine can be started."""
    from tests.support.own_engine import remove_what_dead_runs_left

    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not shutil.which("dockerd"):
        pytest.skip("needs dockerd (make setup)")
    remove_what_dead_runs_left()


@pytest.fixture(scope="session")
def engine_host(able: None) -> Iterator[HostState]:
    """Make the network namespace that plays the host of the tests' own engine.

    Gives how it was before any engine. The checks and tests/docker share the engine, for its images
    take half a minute to build.
    """
    from tests.support import own_engine
    from twinstack.compose.engine_leftovers import observe

    own_engine.make_namespace(str(own_engine.RUN))
    try:
        yield observe(own_engine.PREFIX)
    finally:
        own_engine.end_engine(own_engine.ENGINE)
        own_engine.remove_namespace(str(own_engine.RUN))


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest, software: None) -> Iterator[Sandbox]:
    """Give the test module a host of its own, on which nothing is up."""
    with sandbox(initials(request.path.relative_to(ROOT / "tests"))) as made:
        yield made


def initials(module: Path) -> str:
    """Name a test module's host in few letters: e2e/test_net_flat.py is "nf"."""
    _level, *rooms = module.with_suffix("").parts
    words = "_".join(rooms).replace("test_", "").split("_")
    return "".join(word[0] for word in words)


@pytest.fixture(scope="module")
def flat(host: Sandbox) -> Sandbox:
    """Give the module's host with the flat namespace world up."""
    host.invoke("net.up")
    return host


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether every case is asked for, instead of a sample."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def first(request: pytest.FixtureRequest) -> int:
    """How many points of a full list were taken before: a list takes an hour, and may be cut."""
    return int(request.config.getoption("--first"))


@pytest.fixture(scope="session")
def orders(request: pytest.FixtureRequest, full: bool) -> tuple[int, int, int]:
    """Give how many orders are sent under how many faults, and the seed of both."""
    given = request.config.getoption
    most = (100_000, 100) if full else (2000, 10)
    return given("--orders") or most[0], given("--faults") or most[1], given("--seed")


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give a function that writes a line to the terminal, captured or not."""
    reporter: Any = request.config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = request.config.pluginmanager.get_plugin("capturemanager")

    def write(line: str) -> None:
        if reporter is not None:
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write_line(line)

    return write
