"""Statistics of this process's calls to stores, registry and instances: count, failures, time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: What stores are called here and in /health, wherever they are; instances have their own names.
REDIS, POSTGRES, REGISTRY = "redis", "postgres", "registry"
Failures = tuple[type[BaseException], ...]


@dataclass(slots=True)
class _Sum:
    answers: int = 0
    failures: int = 0
    busy_s: float = 0.0


class CallStats:
    """Adds up calls by destination, from any thread. A health check's own calls are left out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, _Sum] = {}

    @contextmanager
    def timed(self, name: str, failures: Failures = (BaseException,)) -> Iterator[None]:
        """Count the call that the block makes; it failed if one of `failures` is raised.

        Any other exception is the caller's own, raised after an answer.
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
        with self._lock:
            total = self._sums.setdefault(name, _Sum())
            if failed:
                total.failures += 1
            else:
                total.answers += 1
            total.busy_s += took_s

    def document(self) -> list[dict[str, object]]:
        """Give the sums since the process started. Units: seconds."""
        with self._lock:
            return [
                {
                    "name": name,
                    "answers": total.answers,
                    "failures": total.failures,
                    "busy_s": round(total.busy_s, 6),
                }
                for name, total in sorted(self._sums.items())
            ]
