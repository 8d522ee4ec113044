"""`cache: near`: answers kept in this process too, which Redis itself keeps coherent.

On one link Redis says which keys of the catalogue have changed, in the order in which it changed
them (CLIENT TRACKING in broadcast mode), and their copies are dropped. A PING on the same link
proves, once it is answered, that no earlier change is still on its way. So copies are served for
`TRUST_S` after the last PING that was answered: a link that is cut, silent or half open, a Redis
that is killed or stopped, and a thread that does not get to run all end that trust by the clock.
Without it each request reads Redis, as with `cache: shared`.

`Copies` decides, `NearCache` reads; `tracking` has the link. Source: Redis, "Client-side caching".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from services.common.redis_store import RedisStore
from services.product_service.cache import Cache

#: How old the last proof may be: the bound on staleness.
TRUST_S = 1.0
#: Some 200 bytes each. Beyond it the oldest makes room.
MOST_COPIES = 10_000


class Copies:
    """Values by key, served while it is certain that each change of them has been heard.

    A reader that finds none leaves a marker, reads Redis, and keeps what it read only where its
    marker still is: the news of a change may overtake the answer that the change made stale.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[bytes, object] = {}  # a value (bytes), or a reader's marker
        self._listening = False
        self._trusted_until_s = float("-inf")

    def get(self, key: bytes) -> bytes | None:
        """Give a copy; None where there is none, or none that may be trusted."""
        if self._clock() >= self._trusted_until_s:  # First: a copy that is found later is newer.
            return None
        kept = self._kept.get(key)
        return kept if isinstance(kept, bytes) else None

    def expect(self, key: bytes) -> object:
        """Mark that `key` is about to be read, and give the marker; without a link it is none."""
        marker = object()
        with self._lock:
            if not self._listening:
                return marker
            if len(self._kept) >= MOST_COPIES and key not in self._kept:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = marker
        return marker

    def settle(self, key: bytes, marker: object, value: bytes | None) -> None:
        """Keep what was read, unless its key has changed since it was marked; None is not kept."""
        with self._lock:
            if self._kept.get(key) is marker:
                del self._kept[key]
                if value is not None:
                    self._kept[key] = value

    def changed(self, keys: Iterable[bytes] | None) -> None:
        """Drop the copies of these keys; None: of all (Redis was flushed)."""
        with self._lock:
            if keys is None:
                self._kept.clear()
            else:
                for key in keys:
                    self._kept.pop(key, None)

    def begin(self) -> None:
        """Keep copies: each change is heard from now on."""
        with self._lock:
            self._listening = True

    def trust(self, proved_s: float) -> None:
        """Serve copies: each change before this time (monotonic) has been heard."""
        self._trusted_until_s = proved_s + TRUST_S

    def end(self) -> None:
        """Drop all, and keep nothing: changes may be missed from now on."""
        with self._lock:
            self._listening = False
            self._trusted_until_s = float("-inf")
            self._kept.clear()


class NearCache(Cache):
    """Answers from the copies, else from Redis, as `Cache` reads them."""

    def __init__(self, store: RedisStore, ttl_s: int, copies: Copies) -> None:
        super().__init__(store, ttl_s)
        self._copies = copies

    def held(self, key: bytes) -> tuple[bytes, str] | None:
        """Give the copy, and "near"; else as `Cache` says."""
        copy = self._copies.get(key)
        if copy is not None:
            return copy, "near"
        marker = self._copies.expect(key)
        held = super().held(key)
        self._copies.settle(key, marker, held[0] if held else None)
        return held

    def read(self, key: bytes, load: Callable[[], bytes | None]) -> tuple[bytes | None, str]:
        """Give the copy, and "near"; else as `Cache` says.

        What is just filled in is not kept: Redis says that this is a change, too.
        """
        return self.held(key) or super().read(key, load)
