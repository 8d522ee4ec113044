"""The gateway's own server in a thread, and upstreams that behave as a test wants."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.gateway_parts import OK, Behaviour, Running, Upstream


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    running = Running()
    yield running
    running.close()


@pytest.fixture
def upstream(gateway: Running) -> Iterator[Callable[[Behaviour], Upstream]]:
    made: list[Upstream] = []

    def make(behaviour: Behaviour) -> Upstream:
        made.append(Upstream(behaviour))
        gateway.know(*(upstream.port for upstream in made))
        return made[-1]

    yield make
    for upstream in made:
        upstream.close()
    gateway.know()


@pytest.fixture
def slow(upstream):
    """An upstream whose answers take a moment."""

    def behaviour(request: bytes, connection: int, place: int) -> bytes:
        time.sleep(0.15)
        return OK

    return upstream(behaviour)
