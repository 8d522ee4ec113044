"""What counting a request costs: services/common/request_stats.py, and prometheus_client's own.

    .venv/bin/python -m tests.support.request_counting

Units: nanoseconds a request, the least and the median of many rounds; of the exposition,
milliseconds; of the imports, MiB of resident memory and milliseconds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from timeit import Timer

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.common.call_stats import REDIS, CallStats
from services.common.logs import Log
from services.common.metrics import Metrics, of_calls, of_requests
from services.common.request_stats import BOUNDS_S, Counts, RequestStats
from services.common.settings import from_environment
from services.common.wsgi import Instrumented

ROUNDS, REQUESTS = 30, 20_000
TOOK_S = 0.0012


def show(name: str, act: Callable[[], object]) -> None:
    timer = Timer(act)
    rounds = [taken / REQUESTS * 1e9 for taken in timer.repeat(ROUNDS, REQUESTS)]
    print(f"{name:58} {min(rounds):7.0f} {median(rounds):7.0f}")


def contended(act: Callable[[], object], threads: int = 4) -> float:
    """Give nanoseconds a request where threads count at once."""

    def some(_: int) -> None:
        for _ in range(REQUESTS):
            act()

    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        list(pool.map(some, range(threads)))
    return (time.perf_counter() - started) / (threads * REQUESTS) * 1e9


def main() -> None:
    print(f"{'nanoseconds a request':58} {'least':>7} {'median':>7}")
    show("an empty call", lambda: None)

    stats = RequestStats()
    show("RequestStats.add", lambda: stats.add("GET", 200, TOOK_S))

    registry = CollectorRegistry()
    counter = Counter("http_requests", "Requests.", ("method", "code"), registry=registry)
    histogram = Histogram("seconds", "Time.", buckets=BOUNDS_S, registry=registry)

    def plainly() -> None:
        counter.labels("GET", "200").inc()
        histogram.observe(TOOK_S)

    show("prometheus_client: labels(…).inc, observe", plainly)
    children = {("GET", 200): counter.labels("GET", "200")}

    def kept() -> None:
        children["GET", 200].inc()
        histogram.observe(TOOK_S)

    show("prometheus_client: the child is kept, observe", kept)
    reads = Counts("near", "hit", "miss", "bypass")
    show("Counts.add (the product service's, beside it)", lambda: reads.add("hit"))
    print(
        f"{'RequestStats.add, 4 threads at once':58} {'':7} "
        f"{contended(lambda: stats.add('GET', 200, TOOK_S)):7.0f}"
    )
    print(f"{'prometheus_client (child kept), 4 threads at once':58} {'':7} {contended(kept):7.0f}")

    settings = from_environment("product-service", {"TWINSTACK_ADDRESS": "127.0.0.1"})
    app = Instrumented(
        lambda environ, start: [b""],
        settings,
        Log("p", "p", requests=False, fd=-1),
        shortcut=lambda path: ("200 OK", [("Content-Type", "text/plain")], b"{}"),
    )
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/products", "REMOTE_ADDR": "10.0.0.20"}
    show("a whole WSGI call that finds its answer at once", lambda: app(environ, begin))
    app._stats = Nothing()  # type: ignore[assignment]
    show("  the same without counting", lambda: app(environ, begin))

    calls = CallStats()
    calls.count(REDIS, 0.001, False)
    metrics = Metrics(1, partial(of_requests, stats), partial(of_calls, calls))
    rounds = [taken / 20 * 1e3 for taken in Timer(metrics.answer).repeat(20, 20)]
    print(f"{'an exposition, ms':58} {min(rounds):7.2f} {median(rounds):7.2f}")
    for name in ("flask", "flask, prometheus_client"):
        print(f"{'import ' + name + ': MiB, ms':58} {imported(name)}")


class Nothing:
    """Counts nothing."""

    def add(self, method: str, status: int, took_s: float) -> None:
        pass


def begin(status: str, headers: object, failure: object = None) -> Callable[[bytes], object]:
    return lambda body: None


def imported(modules: str) -> str:
    """Give resident memory and time of a process that imports modules."""
    code = (
        f"import time; t = time.perf_counter(); import {modules}; t = time.perf_counter() - t\n"
        "pages = int(open('/proc/self/statm').read().split()[1])\n"
        "print(f'{pages / 256:7.1f} {t * 1000:7.0f}')"
    )
    done = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    return min(each.stdout.rstrip() for each in done)


if __name__ == "__main__":
    main()
