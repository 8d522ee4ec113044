"""How stores fail, and the breaker that lets a failed one rest.

Apart from the stores: a service without one imports no driver.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RedisDown(Exception):
    """Redis did not answer, or its breaker is open."""


class RedisFull(RedisDown):
    """Redis answers, but has no room for what would grow; nothing was changed."""


class DatabaseDown(Exception):
    """PostgreSQL did not answer in time, or refused us; nothing was committed."""


class DatabaseBusy(Exception):
    """PostgreSQL is well, but another transaction held a lock for too long; nothing was changed."""


class OutcomeUnknown(Exception):
    """The connection broke during COMMIT: the transaction may or may not have happened."""


class Breaker:
    """Decide whether a store that failed may be tried.

    Closed: every call may. Open, for `rest_s` seconds after a failure: none may. Half open: one
    call may; its success closes the breaker, its failure opens it for another `rest_s`.
    """

    def __init__(
        self, rest_s: float, down: type[Exception], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rest_s = rest_s
        self._down = down
        self._clock = clock
        self._lock = threading.Lock()
        self._retry_at: float | None = None

    def enter(self) -> None:
        """Ask to try; the caller then calls `succeeded` or `failed`. Raises: `down`."""
        if self._retry_at is None:  # closed, as nearly always: no lock
            return
        with self._lock:
            if self._retry_at is not None:
                now = self._clock()
                if now < self._retry_at:
                    raise self._down("no answer a moment ago")
                self._retry_at = now + self._rest_s

    def succeeded(self) -> None:
        if self._retry_at is not None:
            with self._lock:
                self._retry_at = None

    def failed(self) -> None:
        with self._lock:
            self._retry_at = self._clock() + self._rest_s
