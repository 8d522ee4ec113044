"""Readings of a world whose replicas are all up, for the tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.support.bench_fakes import PLAN
from twinstack.observe.live.answers import DependencyCounts, GatewayCounts, UpstreamCounts
from twinstack.observe.live.model import Dated, ProbeResult, Reading

NAMES = [replica.name for replica in PLAN.replicas]
GATEWAY_PID = 101


def reading(at_s: float, **fields: Any) -> Reading:
    """Make a reading; its processes are numbered from 100 in the plan's order."""
    pids = fields.pop("pids", {name: 100 + place for place, name in enumerate(NAMES)})
    up = {name: ProbeResult("up", "", 1.0) for name in NAMES}
    return Reading(at_s=at_s, pids=pids, probes=up | fields.pop("probes", {}), **fields)


def counts(
    answers: dict[str, int], busy_s: float = 0.0, failed: int = 0, shunned: Sequence[str] = ()
) -> GatewayCounts:
    """Make a gateway's counts of instances of product-service."""
    upstreams = tuple(
        UpstreamCounts(
            service="product-service",
            instance=name,
            answers=number,
            failures=0,
            busy_s=busy_s / 2,
            shunned=name in shunned,
        )
        for name, number in answers.items()
    )
    statuses = {"2xx": sum(answers.values()), "5xx": failed}
    return GatewayCounts(statuses=statuses, busy_s=busy_s, upstreams=upstreams)


def at_gateway(at_s: float, gateway: GatewayCounts, **fields: Any) -> Reading:
    """Make a reading in which the gateway has reported."""
    return reading(at_s, gateways={"api-gateway": Dated(at_s, GATEWAY_PID, gateway)}, **fields)


def calls(
    at_s: float, pid: int, **sums: tuple[int, int, float]
) -> Dated[tuple[DependencyCounts, ...]]:
    """Make a replica's counts of its calls: answers, failures and seconds, by destination."""
    return Dated(
        at_s,
        pid,
        tuple(
            DependencyCounts(
                name=name.replace("_", "-"), answers=answers, failures=failures, busy_s=busy_s
            )
            for name, (answers, failures, busy_s) in sums.items()
        ),
    )
