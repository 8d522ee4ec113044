"""The catalogue as the services share it: a product's shape, and its keys in Redis."""

from __future__ import annotations

from collections.abc import Iterable

CURRENCY = "EUR"
KEYS = b"catalogue:"  # how each key in Redis begins
LIST_KEY = KEYS + b"list"
PRODUCT_ID_MAX = 2_147_483_647


def product_key(product_id: int) -> bytes:
    """Name the cached answer about one product."""
    return KEYS + b"product:%d" % product_id


def lease_key(key: bytes) -> bytes:
    """Name the lease to fill `key`; a change of the data revokes it."""
    return key + b":lease"


def keys_of_change(product_ids: Iterable[int]) -> list[bytes]:
    """List the cache keys to delete when these products have changed."""
    keys = [LIST_KEY, *map(product_key, product_ids)]
    return keys + [lease_key(key) for key in keys]
