"""A locked row is not a dead database: what does not need it goes on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from services.common.database import LOCK_TIMEOUT_S, STATEMENT_TIMEOUT_S, WORK_TIMEOUT_S
from tests.support.order_process import Client
from tests.support.real_stores import Stores
from tests.support.sandbox import eventually

pytestmark = pytest.mark.kernel
LOCKED, FREE = 5, 6
HELD_S = 6.0


def test_postgresql_gives_up_before_its_client_does():
    assert LOCK_TIMEOUT_S < STATEMENT_TIMEOUT_S < WORK_TIMEOUT_S


def test_while_a_row_is_locked_all_else_is_served(stores: Stores, new_client: Callable[[], Client]):
    refused: Counter[tuple[int, str]] = Counter()
    done = threading.Event()

    def insist(client: Client) -> None:
        while not done.is_set():
            answer = client.order(LOCKED)
            refused[answer.status, answer.said.get("error", "")] += 1
            done.wait(0.05)

    client, insisting = new_client(), [new_client() for _ in range(6)]
    keyed = client.order(LOCKED, key="before").said["id"]
    threads = [threading.Thread(target=insist, args=(other,)) for other in insisting]
    took_s, statuses = [], []
    with stores.transaction() as execute:
        execute("SELECT 1 FROM products WHERE id = %s FOR UPDATE", LOCKED)
        for thread in threads:
            thread.start()
        ends = time.monotonic() + HELD_S
        while time.monotonic() < ends:
            for act in (
                lambda: client.order(FREE),
                lambda: client.add(FREE, 1),
                lambda: client.call("GET", "/health"),
                lambda: client.call("GET", f"/orders/{keyed}"),
            ):
                began = time.monotonic()
                statuses.append(act().status)
                took_s.append(time.monotonic() - began)
                time.sleep(0.02)
        assert client.order(LOCKED, key="before").said["id"] == keyed
        done.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200, 201}
    assert set(refused) == {(409, "database_busy")}
    assert max(took_s) < 2 * LOCK_TIMEOUT_S + 0.5, sorted(took_s)[-5:]
    assert sorted(took_s)[int(len(took_s) * 0.95)] < LOCK_TIMEOUT_S
    eventually(lambda: client.order(LOCKED).status == 201, within_s=2)


def test_a_product_that_nobody_locked_is_ordered_beside_one_that_is(
    stores: Stores, new_client: Callable[[], Client]
):
    client = new_client()
    items = [{"product_id": product_id, "quantity": 1} for product_id in (LOCKED, FREE)]
    with stores.transaction() as execute:
        execute("SELECT 1 FROM products WHERE id = %s FOR UPDATE", LOCKED)
        assert client.call("POST", "/orders", {"items": items}).said["error"] == "database_busy"
        assert client.order(FREE).status == 201
        began = time.monotonic()
        assert client.order(LOCKED).status == 409
        assert time.monotonic() - began < LOCK_TIMEOUT_S / 2
