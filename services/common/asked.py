"""What this process asked of others: how often, how often in vain, and how long it waited."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: What stores are called here and in /health, wherever they are; instances have their own names.
REDIS, POSTGRES, REGISTRY = "redis", "postgres", "registry"
Failures = tuple[type[BaseException], ...]


class _Sum:
    __slots__ = ("answers", "busy_s", "failures")

    def __init__(self) -> None:
        self.answers = self.failures = 0
        self.busy_s = 0.0


class Asked:
    """Adds up by who was asked, from any thread; a health check's own questions are left out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, _Sum] = {}

    @contextmanager
    def of(self, name: str, failures: Failures = (BaseException,)) -> Iterator[None]:
        """Count the question that the block asks: in vain when it raises one of these failures.

        Whatever else it raises is the caller's own, upon an answer.
        """
        started = time.perf_counter()
        failed = False
        try:
            yield
        except failures:
            failed = True
            raise
        finally:
            self.add(name, time.perf_counter() - started, failed=failed)

    def add(self, name: str, took_s: float, *, failed: bool = False) -> None:
        """Count a question. Units: seconds."""
        with self._lock:
            found = self._sums.get(name)
            if found is None:
                found = self._sums[name] = _Sum()
            if failed:
                found.failures += 1
            else:
                found.answers += 1
            found.busy_s += took_s

    def document(self) -> list[dict[str, object]]:
        """Give the sums since the process began. Units: seconds."""
        with self._lock:
            return [
                {
                    "name": name,
                    "answers": one.answers,
                    "failures": one.failures,
                    "busy_s": round(one.busy_s, 6),
                }
                for name, one in sorted(self._sums.items())
            ]
