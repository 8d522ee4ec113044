"""A circuit breaker: after a failure, do not try again for a while, then let one caller try."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Decide whether a destination that failed may be tried.

    Closed: every call may. Open, for `rest_s` seconds after a failure: none may. Half open: one
    call may; its success closes the breaker, its failure opens it for another `rest_s`.
    """

    def __init__(self, rest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest_s = rest_s
        self._clock = clock
        self._lock = threading.Lock()
        self._retry_at: float | None = None

    @property
    def closed(self) -> bool:
        return self._retry_at is None

    def allow(self) -> bool:
        """Ask to try; after True the caller must call `succeeded` or `failed`."""
        if self._retry_at is None:
            return True
        with self._lock:
            if self._retry_at is None:
                return True
            now = self._clock()
            if now < self._retry_at:
                return False
            self._retry_at = now + self._rest_s
            return True

    def succeeded(self) -> None:
        if self._retry_at is not None:
            with self._lock:
                self._retry_at = None

    def failed(self) -> None:
        with self._lock:
            self._retry_at = self._clock() + self._rest_s
