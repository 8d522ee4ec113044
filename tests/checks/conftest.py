"""Checks that come in two lengths: a sample in `make test`, the whole by `invoke check.*`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.built import software
from tests.support.docker_steps import docker_host, images

__all__ = ["docker_host", "images", "software"]


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Tell whether every case is wanted."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give what writes a line to the terminal, captured or not: counts belong to the result."""
    reporter: Any = request.config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = request.config.pluginmanager.get_plugin("capturemanager")

    def write(line: str) -> None:
        if reporter is not None:
            with capture.global_and_fixture_disabled():  # else it lands in what is captured
                reporter.ensure_newline()
                reporter.write_line(line)

    return write
