"""GET /metrics: what a replica counts, as Prometheus reads it.

Nothing is counted for this: each family is made from the counters there are, when it is asked for.
Only a client in the replica's own namespace gets it. Source: Prometheus, "Exposition formats" and
"Metric and label naming".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from services.common.call_stats import POSTGRES, REDIS, CallStats
from services.common.request_stats import BOUNDS_S, Counts, RequestStats
from services.common.workers import Workers, merged

PATH = "/metrics"
_PATHS = frozenset({PATH, PATH.encode()})
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
#: A client in our own namespace has this address; through a published port nobody has.
INSIDE = "127.0.0.1"

Families = Iterable[Metric]
Collect = Callable[[], Families]
Rows = Iterable[tuple[Sequence[str], float]]  # the labels' values, and the sample's
_STORES = frozenset({REDIS, POSTGRES})


@dataclass(frozen=True, slots=True)
class _Families:
    """What prometheus_client calls a collector."""

    collect: Collect


class Metrics:
    """The exposition of a replica of so many workers, of which this process is one.

    It has the given families, and those of the process: CPU time, memory, start.
    """

    def __init__(self, workers: int, *sources: Collect) -> None:
        self._sources = (*sources, PROCESS_COLLECTOR.collect, PLATFORM_COLLECTOR.collect)
        self._workers = Workers(self._own_text) if workers > 1 else None

    def answer(self) -> tuple[int, bytes]:
        """Give a status and the exposition: 503 when a worker is silent, for a part is no whole."""
        if self._workers is None:
            return 200, self._own_text()
        try:
            families = merged(self._workers.texts())
        except OSError as error:
            return 503, f"another worker of this replica does not answer: {error}\n".encode()
        return 200, generate_latest(_Families(lambda: families))

    def _own_text(self) -> bytes:
        return generate_latest(_Families(self._collect))

    def _collect(self) -> Families:
        return chain.from_iterable(source() for source in self._sources)


def is_requested(method: str, path: str | bytes, client: str) -> bool:
    """Tell whether a request is for the metrics and comes from inside."""
    return path in _PATHS and client == INSIDE and method in {"GET", "HEAD"}


def counter(name: str, about: str, labels: Sequence[str], rows: Rows) -> Metric:
    """Make a counter's family."""
    return _filled(CounterMetricFamily(name, about, labels=labels), rows)


def gauge(name: str, about: str, labels: Sequence[str], rows: Rows) -> Metric:
    """Make a gauge's family."""
    return _filled(GaugeMetricFamily(name, about, labels=labels), rows)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, rows: Rows) -> Metric:
    for values, sample in rows:
        family.add_metric(values, sample)
    return family


def of_requests(stats: RequestStats) -> Families:
    """Give the requests that were answered, by method and status, and how long they took."""
    counts = stats.counts()
    answers = sorted(counts.answers.items())
    yield counter(
        "http_requests_total",
        "Requests answered, but for those of /health and /metrics.",
        ("method", "code"),
        (((method, str(status)), number) for (method, status), number in answers),
    )
    bounds = (*map(str, BOUNDS_S), "+Inf")
    yield HistogramMetricFamily(
        "http_request_duration_seconds",
        "From a request's head to its answer.",
        buckets=list(zip(bounds, accumulate(counts.buckets), strict=True)),
        sum_value=counts.busy_s,
    )


def of_calls(calls: CallStats) -> Families:
    """Give this process's calls to stores, and to the registry and instances (its peers)."""
    all_sums = calls.sums()
    stores = [sums for sums in all_sums if sums.name in _STORES]
    peers = [sums for sums in all_sums if sums.name not in _STORES]
    for kind, sums in (("store", stores), ("peer", peers)):
        yield counter(
            f"{kind}_calls_total",
            f"Calls to each {kind}, but for those of health checks.",
            (kind, "outcome"),
            (
                ((each.name, outcome), number)
                for each in sums
                for outcome, number in (("ok", each.answers), ("failed", each.failures))
            ),
        )
        yield counter(
            f"{kind}_call_seconds_total",
            f"Time waited for each {kind}.",
            (kind,),
            (((each.name,), each.busy_s) for each in sums),
        )


def of_counts(name: str, about: str, label: str, counts: Counts) -> Families:
    """Give counts by name as one counter."""
    rows = (((value,), number) for value, number in counts.counts().items())
    yield counter(name, about, (label,), rows)
