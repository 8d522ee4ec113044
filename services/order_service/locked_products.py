"""Products whose rows another transaction holds: their orders rest, and nothing else does.

Each order that waits for a lock keeps one of the few threads for LOCK_TIMEOUT_S. After one has
timed out waiting, further orders of that product are refused at once, but for one each REST_S.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from services.common.database import Cursor, Database
from services.common.failures import Breaker, DatabaseBusy

REST_S = 1.0
_LOCKED = """
WITH free AS (SELECT id FROM products WHERE id = ANY(%(ids)s) FOR UPDATE SKIP LOCKED)
SELECT id FROM products WHERE id = ANY(%(ids)s) AND id NOT IN (SELECT id FROM free)
"""


class LockedProducts:
    """What is known in this process of locked products. Safe in threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._breakers: dict[int, Breaker] = {}

    @contextmanager
    def refused_while_locked(self, product_ids: Collection[int]) -> Iterator[None]:
        """Let the block lock these products, unless one is resting. Raises: DatabaseBusy."""
        resting = {key: breaker for key in product_ids if (breaker := self._breakers.get(key))}
        for breaker in resting.values():
            breaker.enter()
        locked: set[int] = set()
        try:
            yield
        except DatabaseBusy:
            locked = self._database.read(lambda cursor: _locked(cursor, product_ids))
            raise
        finally:
            for product_id in resting.keys() - locked:
                self._breakers.pop(product_id, None)
            for product_id in locked:
                self._breakers.setdefault(product_id, Breaker(REST_S, DatabaseBusy)).failed()


def _locked(cursor: Cursor, product_ids: Collection[int]) -> set[int]:
    cursor.execute(_LOCKED, {"ids": list(product_ids)})
    return {row[0] for row in cursor.fetchall()}
