"""The gateway's own server in a thread, and upstreams that behave as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.gateway_parts import Behaviour, Running, Upstream


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
