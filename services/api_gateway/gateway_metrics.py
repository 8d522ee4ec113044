"""The gateway's own families at /metrics: its upstreams, and what is under way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from services.api_gateway.client import Upstream
from services.api_gateway.rotation import Rotation
from services.api_gateway.standing import Rank
from services.common.metrics import Families, counter, gauge

_UPSTREAM = ("service", "upstream")


def of_upstreams(rotations: Mapping[str, Rotation]) -> Families:
    """Give what each upstream answered, and whether it is passed over."""
    # An instance that moved is there twice for a moment, and a label's value names one series.
    named: dict[tuple[str, str], list[Upstream]] = defaultdict(list)
    for service, rotation in rotations.items():
        for upstream in rotation.upstreams:
            named[service, upstream.name].append(upstream)
    yield counter(
        "gateway_upstream_requests_total",
        "Requests sent to each upstream: ok, error (a status of 500 or more), failed (no answer).",
        (*_UPSTREAM, "outcome"),
        (
            ((*key, outcome), number)
            for key, same in named.items()
            for outcome, number in (
                ("ok", sum(each.answers - each.errors for each in same)),
                ("error", sum(each.errors for each in same)),
                ("failed", sum(each.failures for each in same)),
            )
        ),
    )
    yield counter(
        "gateway_upstream_seconds_total",
        "Time until each upstream's answers were whole.",
        _UPSTREAM,
        ((key, sum(each.busy_s for each in same)) for key, same in named.items()),
    )
    yield gauge(
        "gateway_upstream_shunned",
        "1 while an upstream is passed over: ill, unreachable, or an outlier.",
        _UPSTREAM,
        (
            (key, all(each.standing.rank is not Rank.WELL for each in same))
            for key, same in named.items()
        ),
    )
    yield counter(
        "gateway_retries_total",
        "Requests that were sent a second time.",
        ("service",),
        (((service,), rotation.retries) for service, rotation in rotations.items()),
    )


def of_in_flight(requests: int) -> Families:
    """Give the requests that are under way."""
    yield gauge("gateway_in_flight", "Requests under way.", (), [((), requests)])
