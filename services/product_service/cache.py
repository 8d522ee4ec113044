"""Cache-aside in Redis, with leases: one reader fills a missing key, and never with old data.

A reader that misses takes a lease on the key (SET NX), reads the database, and writes the value
only if the lease is still its own. A writer deletes the key *and* its lease, so a value read before
the change cannot be written after it. Other readers that miss wait a moment for the value (else
all would query the database: a stampede). That nothing has a key is kept too, for a moment, and a
reader whose database fails gives its lease back: a key that stays empty would make all others wait,
each in one of the few threads, and anybody can ask for such a key.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

from services.common.catalogue import lease_key
from services.common.failures import RedisDown
from services.common.redis_store import RedisStore, Script
from services.common.request_stats import Counts

LEASE_MS = 1500
WAITS = 5
WAIT_S = 0.02
#: Kept in place of an answer, which is never empty.
ABSENT, ABSENT_MS = b"", 1000

FILL = Script(
    """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
"""
)
GIVE_BACK = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")


class Cache:
    """Answers kept as bytes, for `ttl_s` seconds."""

    def __init__(
        self, store: RedisStore, ttl_s: int, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store = store
        self._ttl_ms = ttl_s * 1000
        self._sleep = sleep
        self.reads = Counts(
            "near", "hit", "miss", "bypass"
        )  #: what was served, by where it is from

    def held(self, key: bytes) -> tuple[bytes, str] | None:
        """Give what is cached, and "hit"; None for what `read` must do more for than look."""
        try:
            value = self._store.get(key)
        except RedisDown:
            return None
        return (value, "hit") if value else None

    def read(self, key: bytes, load: Callable[[], bytes | None]) -> tuple[bytes | None, str]:
        """Give the value of `key` and where it is from: "hit", "miss" or "bypass" (Redis down).

        `load` reads the database; None means that there is no such thing.
        """
        try:
            value = self._store.get(key)
            if value is not None:
                return value or None, "hit"
            lease = self._take_lease(key)
            if lease is None:
                value = self._wait_for(key)
                if value is not None:
                    return value or None, "hit"
        except RedisDown:
            return load(), "bypass"
        try:
            value = load()
        except Exception:
            if lease is not None:
                with suppress(RedisDown):
                    self._store.script(GIVE_BACK, (lease_key(key),), (lease,))
            raise
        if lease is not None:
            kept = (ABSENT, ABSENT_MS) if value is None else (value, self._ttl_ms)
            try:
                self._store.script(FILL, (key, lease_key(key)), (lease, *kept))
            except RedisDown:
                return value, "bypass"
        return value, "miss"

    def _take_lease(self, key: bytes) -> bytes | None:
        lease = os.urandom(8).hex().encode()
        taken = self._store.command("SET", lease_key(key), lease, "NX", "PX", LEASE_MS)
        return lease if taken else None

    def _wait_for(self, key: bytes) -> bytes | None:
        for _ in range(WAITS):
            self._sleep(WAIT_S)
            value = self._store.get(key)
            if value is not None:
                return value
        return None
