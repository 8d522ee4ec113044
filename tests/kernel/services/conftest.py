"""Redis, PostgreSQL and the order service, as the worlds run them, for one module of tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.order_process import Client, OrderProcess
from tests.support.real_stores import Stores, real_stores


@pytest.fixture(scope="module")
def stores(software: None) -> Iterator[Stores]:
    with real_stores() as running:
        yield running


@pytest.fixture(scope="module")
def service(stores: Stores) -> Iterator[OrderProcess]:
    process = OrderProcess(stores)
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture
def new_client(service: OrderProcess) -> Callable[[], Client]:
    """Give a function that makes a client with a session of its own."""

    def make() -> Client:
        client = Client(service.port)
        client.cart()
        return client

    return make
