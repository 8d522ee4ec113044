"""Samples of worlds as their watchers send them, and texts of services, for tests of /metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.bench_fakes import PLAN
from tests.support.readings import reading
from twinstack.model.topology import WorldName
from twinstack.observe.live.model import Dated, Usage, WorldSample
from twinstack.observe.live.samples import sample

USED = Usage(
    at_s=1.0,
    cpu_us=5_250_000,
    throttled_us=1_500_000,
    memory_bytes=9_000_000,
    received_bytes=500,
    sent_bytes=600,
    cpu_limit=1.0,
    memory_limit=64_000_000,
    started_at=1_700_000_000.0,
    periods=40,
    throttled_periods=3,
    pids=5,
    pids_limit=32,
)
#: As a service's library writes it, and what it should not write.
TEXT = b"""\
# HELP http_requests_total Requests answered.
# TYPE http_requests_total counter
http_requests_total{method="GET",code="200"} 5.0
http_requests_total{method="GET",code="500"} 1.0
# HELP http_requests_created When the counter was created.
# TYPE http_requests_created gauge
http_requests_created{method="GET",code="200"} 1.7e+09
# HELP http_request_duration_seconds Time to answer.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.1"} 4.0
http_request_duration_seconds_bucket{le="+Inf"} 6.0
http_request_duration_seconds_sum 1.5
http_request_duration_seconds_count 6.0
"""


def document(world: WorldName = "net", at: float = 1.0, **fields: Any) -> dict[str, Any]:
    """Make the document of a world that is up, with everything known."""
    usage = {replica.name: USED for replica in PLAN.replicas}
    known: dict[str, Any] = {
        "usage": usage,
        "conntrack": (50, 1000),
        "restarts": {"redis-cache": 2},
        "requests": {"nginx-lb": Dated(1.0, 1, 77)},
    }
    changed = sample(world, PLAN, at, [reading(1.0, **known | fields)])
    found: dict[str, Any] = json.loads(json.dumps(asdict(changed)))
    return found


def down(world: WorldName = "docker", at: float = 1.0, trouble: str = "") -> dict[str, Any]:
    """Make the document of a world that is not up, or unknown."""
    return asdict(WorldSample(world, at, False, trouble=trouble))


def series(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Read an exposition: each series once."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            key = (each.name, tuple(sorted(each.labels.items())))
            assert key not in found, key
            found[key] = each.value
    return found


def value(text: str, name: str, **labels: str) -> float | None:
    """Give the value of one series; None where it is absent."""
    return series(text).get((name, tuple(sorted(labels.items()))))


def labels(replica: str, service: str = "", world: str = "net") -> Mapping[str, str]:
    """Give a replica's labels."""
    return {"world": world, "service": service or replica, "replica": replica}
