"""One namespace world for the tests that only look at it, in a host of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.built import software
from tests.support.sandbox import Sandbox, sandbox

__all__ = ["software"]


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest, software: None) -> Iterator[Sandbox]:
    """Give a host on which nothing is up."""
    name = Path(str(request.path)).stem.removeprefix("test_").replace("_", "-")[:8].strip("-")
    with sandbox(name) as made:
        yield made


@pytest.fixture(scope="module")
def flat(host: Sandbox) -> Sandbox:
    """Give a host on which the flat namespace world is up."""
    host.invoke("net.up")
    return host
