"""The text of GET /metrics: the latest sample of each world, and what the services say themselves.

What is not known is absent: no NaN, no 0 in its place. A world whose watcher is silent is unknown.
Counters are those of the kernel and the services, as they are; nothing is computed from rates.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from twinstack.model.topology import WorldName
from twinstack.observe.live.feed import Feed
from twinstack.observe.metrics import relay, relayed
from twinstack.observe.metrics.families import BY_NAME, OWN
from twinstack.policy import drop_counts

CONTENT_TYPE = CONTENT_TYPE_LATEST
#: By which Prometheus says how long it waits.
TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
#: A sample that is older is no knowledge; the page forgets it after as long.
STALE_S = 8.0
#: However many ask, the services are asked no more often.
SHORTEST_S = 0.5
#: How long services may take to answer: half of the scrape's time, within bounds.
_LEAST_S, _UNSAID_S, _MOST_S = 0.2, 1.0, 3.0
Documents = Mapping[WorldName, Mapping[str, Any]]
#: Asks replicas, within so many seconds.
Ask = Callable[[Mapping[tuple[str, str], relay.Target], float], dict[tuple[str, str], bytes]]


class Exposition:
    """Writes the text of one feed, at most every SHORTEST_S. Thread-safe."""

    def __init__(self, feed: Feed, instance: str, ask: Ask = relay.ask) -> None:
        self._feed = feed
        self._instance = instance
        self._ask = ask
        self._lock = threading.Lock()
        self._text = b""
        self._until_s = 0.0

    def __call__(self, scrape_timeout_s: float | None = None) -> bytes:
        """Give the text, of which what services say may take half of the scrape's time."""
        with self._lock:
            if time.monotonic() >= self._until_s:
                registry = CollectorRegistry(auto_describe=False)
                registry.register(_Metrics(self._families(scrape_timeout_s)))
                self._text = generate_latest(registry)
                self._until_s = time.monotonic() + SHORTEST_S
            return self._text

    def _families(self, scrape_timeout_s: float | None) -> tuple[Metric, ...]:
        latest = self._feed.latest()
        documents = fresh({name: one.document for name, one in latest.items()}, time.time())
        within_s = _UNSAID_S
        if scrape_timeout_s is not None:
            within_s = max(min(scrape_timeout_s / 2, _MOST_S), _LEAST_S)
        bodies = self._ask(targets(documents), within_s)
        drops = drop_counts.read(self._instance, list(documents))
        return families(documents, bodies, drops)


def scrape_timeout_s(header: str) -> float | None:
    """Read how long a scrape may take; None where that is not said."""
    try:
        value = float(header)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class _Metrics(Collector):
    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


def fresh(documents: Documents, now: float) -> Documents:
    """Keep the worlds of which something is known, now. Units: seconds of the epoch.

    A moment to come was before the clock was set back: the next sample has the new time.
    """
    return {
        name: document
        for name, document in documents.items()
        if not document["trouble"] and abs(now - document["at"]) <= STALE_S
    }


def targets(documents: Documents) -> dict[tuple[str, str], relay.Target]:
    """Choose the replicas to ask: those that answer their health check, as others would not."""
    return {
        (world, replica["name"]): relay.Target(replica["pid"], replica["metrics_port"])
        for world, document in documents.items()
        for replica in document["replicas"]
        if replica["pid"] and replica["metrics_port"] and replica["state"] in _SERVING
    }


def families(
    documents: Documents,
    bodies: Mapping[tuple[str, str], bytes],
    drops: Mapping[WorldName, int],
) -> tuple[Metric, ...]:
    """Make all families of the worlds' latest samples and the services' texts. Pure."""
    own = {family.name: Metric(_stem(family.name), family.help, family.kind) for family in OWN}
    texts: list[tuple[dict[str, str], tuple[Metric, ...]]] = []

    def add(name: str, labels: Mapping[str, str], value: float | bool | None) -> None:
        if value is not None and math.isfinite(value):
            assert set(labels) == set(BY_NAME[name].labels), name
            own[name].add_sample(name, dict(labels), float(value))

    for world, document in documents.items():
        for name, more, value in _of_world(document, drops.get(world)):
            add(f"twinstack_{name}", {"world": world, **more}, value)
        for replica in document["replicas"]:
            labels = {"world": world, "service": replica["service"], "replica": replica["name"]}
            for name, value in _of_replica(replica):
                add(f"twinstack_replica_{name}", labels, value)
            if replica["metrics_port"]:
                body = bodies.get((world, replica["name"]))
                read = None if body is None else relayed.read(body)
                add("twinstack_replica_metrics_up", labels, read is not None)
                if read is not None:
                    texts.append((labels, read))
    for document in documents.values():  # the host's: both worlds read the same table
        if document["conntrack"] is not None:
            add("twinstack_conntrack_entries", {}, document["conntrack"])
            add("twinstack_conntrack_entries_limit", {}, document["conntrack_limit"])
            break
    return (*(metric for metric in own.values() if metric.samples), *relayed.merged(texts))


#: degraded: it serves, but lacks something.
_SERVING = frozenset({"up", "degraded"})


def _of_world(
    document: Mapping[str, Any], drops: int | None
) -> Iterator[tuple[str, Mapping[str, str], float | None]]:
    yield "world_up", {}, document["up"]
    yield "world_sample_timestamp_seconds", {}, document["at"]
    if document["up"]:
        yield "world_info", {"shape": document["shape"]}, 1
        yield "edge_requests_total", {}, document["total"]
        yield "policy_drops_total", {}, drops


def _of_replica(replica: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    state, took_ms = replica["state"], replica["took_ms"]
    yield "up", state in _SERVING
    yield "degraded", state == "degraded"
    yield "probe_duration_seconds", None if took_ms is None else took_ms / 1000
    yield "restarts_total", replica["restarts"]
    yield "memory_bytes", replica["memory_bytes"]
    yield "memory_limit_bytes", replica["memory_limit"]
    yield "cpu_limit_cores", replica["cpu_limit"]
    totals = replica["totals"] or {}
    for name, key in _TOTALS.items():
        yield name, totals.get(key)


_TOTALS = {
    "start_time_seconds": "started_at",
    "cpu_seconds_total": "cpu_s",
    "cpu_periods_total": "periods",
    "cpu_throttled_periods_total": "throttled_periods",
    "cpu_throttled_seconds_total": "throttled_s",
    "network_receive_bytes_total": "received_bytes",
    "network_transmit_bytes_total": "sent_bytes",
    "pids": "pids",
    "pids_limit": "pids_limit",
}


def _stem(name: str) -> str:
    """Give the library's name of a family: it adds _total to a counter's itself."""
    return name.removesuffix("_total")
