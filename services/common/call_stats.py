"""Statistics of this process's calls to stores, registry and instances: count, failures, time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

#: What stores are called here and in /health, wherever they are; instances have their own names.
REDIS, POSTGRES, REGISTRY = "redis", "postgres", "registry"
Failures = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(slots=True)
class CallSums:
    """The calls to one destination. Units: seconds."""

    name: str
    answers: int = 0
    failures: int = 0
    busy_s: float = 0.0


class CallStats:
    """Adds up calls by destination, from any thread. A health check's own calls are left out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: dict[str, CallSums] = {}

    @contextmanager
    def timed(self, name: str, failures: Failures = BaseException) -> Iterator[None]:
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
            self.count(name, time.perf_counter() - started, failed)

    def count(self, name: str, took_s: float, failed: bool) -> None:
        """Count a call: `timed` without its price, for the one that each request makes."""
        with self._lock:
            calls = self._by_name.get(name)
            if calls is None:
                calls = self._by_name[name] = CallSums(name)
            calls.failures += failed
            calls.answers += not failed
            calls.busy_s += took_s

    def sums(self) -> list[CallSums]:
        """Give the sums since the process started, by name."""
        with self._lock:
            return [replace(calls) for _, calls in sorted(self._by_name.items())]

    def document(self) -> list[dict[str, object]]:
        """Give them for JSON."""
        return [asdict(calls) | {"busy_s": round(calls.busy_s, 6)} for calls in self.sums()]
