"""A client of the product service: its catalogue, or the database's when no instance answers.

For carts only, which show names and prices; an order's prices come from its own transaction.
Connections are kept, one for each thread and instance. An instance that failed rests for a while:
one that is stopped would hold every third cart for the time-out.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from services.common.database import Cursor
from services.common.registry_client import Peer, Registration
from services.common.request_id import HEADER
from services.common.service import Service

TIMEOUT_S = 0.6
TRIES = 2
REST_S = 3.0


@dataclass(frozen=True, slots=True)
class Product:
    """What a cart needs to know of a product."""

    name: str
    price_cents: int
    stock: int


def priced(
    lines: Mapping[int, int], catalogue: Mapping[int, Product]
) -> tuple[list[dict[str, object]], int]:
    """Give lines (product → quantity) with names and prices, and their total in cents; pure.

    What has left the catalogue is left out.
    """
    known = {key: quantity for key, quantity in lines.items() if key in catalogue}
    items: list[dict[str, object]] = [
        {
            "product_id": key,
            "name": catalogue[key].name,
            "quantity": quantity,
            "unit_price_cents": catalogue[key].price_cents,
        }
        for key, quantity in known.items()
    ]
    return items, sum(catalogue[key].price_cents * known[key] for key in known)


class Products:
    """Ask the live product instances in turn."""

    def __init__(self, registration: Registration, service: Service) -> None:
        self._registration = registration
        self._service = service
        self._turn = itertools.count()
        self._local = threading.local()
        self._rests_until: dict[Peer, float] = {}

    def catalogue(self, request_id: str) -> dict[int, Product]:
        """Give every product by id. Raises: DatabaseDown (when neither source answers)."""
        return self.catalogue_and_source(request_id)[0]

    def catalogue_and_source(self, request_id: str) -> tuple[dict[int, Product], str]:
        """Give every product by id, and who gave them: a replica, or PostgreSQL.

        Raises: DatabaseDown (when neither source answers).
        """
        now = time.monotonic()
        peers = [
            peer for peer in self._registration.peers if self._rests_until.get(peer, now) <= now
        ]
        for _ in range(min(TRIES, len(peers))):
            peer = peers[next(self._turn) % len(peers)]
            try:
                with self._service.calls.timed(peer.instance):
                    return self._ask(peer, request_id)
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
                self._rests_until[peer] = time.monotonic() + REST_S
                reason = f"{type(error).__name__}: {error}"
                fields = {"instance": peer.instance, "reason": reason, "request_id": request_id}
                self._service.log.event("warning", "product instance failed", **fields)
        return self._service.database.read(_from_database), "PostgreSQL"

    def _ask(self, peer: Peer, request_id: str) -> tuple[dict[int, Product], str]:
        links: dict[Peer, http.client.HTTPConnection] = self._local.__dict__.setdefault("links", {})
        link = links.get(peer)
        if link is None:
            link = http.client.HTTPConnection(peer.address, peer.port, timeout=TIMEOUT_S)
            links[peer] = link
        for last in (link.sock is None, True):  # Perhaps closed while idle: reconnect once.
            try:
                return _fetch(link, request_id, peer.instance)
            except (OSError, http.client.HTTPException):
                link.close()
                if last:
                    raise
        raise AssertionError("unreachable")


def _fetch(
    link: http.client.HTTPConnection, request_id: str, instance: str
) -> tuple[dict[int, Product], str]:
    link.request("GET", "/products", headers={HEADER: request_id})
    response = link.getresponse()
    text = response.read()
    if response.status != 200:
        raise http.client.HTTPException(f"status {response.status}")
    products = {
        product["id"]: Product(product["name"], product["price_cents"], product["stock"])
        for product in json.loads(text)["products"]
    }
    return products, response.getheader("X-Served-By", instance)


def _from_database(cursor: Cursor) -> dict[int, Product]:
    cursor.execute("SELECT id, name, price_cents, stock FROM products ORDER BY id")
    return {row[0]: Product(row[1], row[2], row[3]) for row in cursor.fetchall()}
