"""/metrics of the product and the order service as they run, upon real stores."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import scraped
from tests.support.order_process import Client, OrderProcess, ProductProcess
from tests.support.real_stores import Stores, connect
from tests.support.scraped import ask, scrape

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def products(stores: Stores) -> Iterator[ProductProcess]:
    process = ProductProcess(stores)
    try:
        yield process
    finally:
        process.kill()


def test_the_product_services_metrics_are_valid_whole_and_hidden(products: ProductProcess):
    scraped.check_whole(products.port, "/products")
    scraped.check_hidden(products.port)
    before = scrape(products.port)
    for path in ("/products/7", "/products/7", "/products/999999", "/health"):
        ask(products.port, path)
    after = scrape(products.port)
    assert scraped.complaints(after.text) == ""

    def new(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    reads = {name: new("cache_reads_total", result=name) for name in ("hit", "miss", "bypass")}
    assert reads == {"hit": 1, "miss": 2, "bypass": 0}
    assert new("http_requests_total", code="200") == 2
    assert new("http_requests_total", code="404") == 1
    assert new("store_calls_total", store="postgres", outcome="ok") == 2
    assert new("store_calls_total", store="redis", outcome="ok") >= 5
    assert new("store_calls_total", outcome="failed") == 0


def test_the_order_services_metrics_are_valid_whole_and_hidden(service: OrderProcess):
    scraped.check_whole(service.port, "/cart")
    scraped.check_hidden(service.port)
    client = Client(service.port)
    client.cart()
    before = scrape(service.port)
    assert client.order(3, key="once").status == 201
    assert client.order(3, key="once").status == 200
    assert client.order(24, quantity=1_000).status == 409
    assert client.check_out().status == 409  # the cart is empty
    after = scrape(service.port)
    assert scraped.complaints(after.text) == ""
    outcomes = {
        name: after.total("orders_total", outcome=name) - before.total("orders_total", outcome=name)
        for name in ("placed", "replayed", "refused", "failed")
    }
    assert outcomes == {"placed": 1, "replayed": 1, "refused": 2, "failed": 0}


def test_a_scrape_waits_its_turn_when_all_threads_wait_for_postgresql(
    stores: Stores, service: OrderProcess
):
    """It is answered by one of the threads that serve: after them, within their bound."""
    holder = connect(stores.postgres.port)
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE products IN ACCESS EXCLUSIVE MODE")
    try:
        with ThreadPoolExecutor(service.threads) as pool:
            orders = [
                pool.submit(Client(service.port).order, number)
                for number in range(1, service.threads + 1)
            ]
            seen = scrape(service.port)
            for order in orders:
                assert order.result().status in {409, 503}
        assert seen.samples("process_start_time_seconds")
    finally:
        holder.rollback()
        holder.close()
