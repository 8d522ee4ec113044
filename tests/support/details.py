"""A made detail of a replica, in which every figure is at its widest and every line hostile."""

from __future__ import annotations

import time
from typing import Any

from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.detail.lines import DetailLine, RequestLine
from twinstack.observe.detail.read import (
    Amounts,
    CgroupAmounts,
    LinkCounters,
    ReplicaDetail,
    ReplicaLog,
)
from twinstack.observe.detail.rules import ConcernedRule, ReplicaPolicy

HOSTILE = "<script>window.hostile = 1</script><img src=x onerror='window.hostile = 1'> \\x1b[2J"
_RULES = (
    ("in", "api-gateway may connect to order-service on tcp port 5000 (flows)", 123_456_789),
    ("in", "who may ask order-service on tcp port 5000 is listed in TS-main-TO-order-service", 1),
    ("out", "order-service may connect to redis-cache on tcp port 6379 (flows)", None),
)


def made_detail(world: WorldName, plan: Plan, name: str, **changes: Any) -> ReplicaDetail:
    """Make a detail, with `changes` of its fields."""
    now = time.time()
    replica = plan.replica(name)
    levels = ("", "debug", "info", "notice", "warning", "error", "critical")
    lines = (
        DetailLine(now - 60 + n, levels[n % 7], f"{n} {HOSTILE} " + "a-long-word" * 50)
        for n in range(60)
    )
    requests = (
        RequestLine(now - n, "OPTIONS", "/api/" + "p" * 155, 503 - n, 12_345.6, "f" * 32)
        for n in range(40)
    )
    mark = "-m conntrack --ctstate NEW,DNAT -j TS-main-TO-order-service"
    rules = (
        ConcernedRule(way, sentence, f"-A TS-main-FROM -d 10.0.0.40/32 -p tcp {n} {mark}", n, n)  # type: ignore[arg-type]
        for way, sentence, n in _RULES
    )
    counts = (10**12, 10**9, 12_345, 12_345) * 2
    values: dict[str, Any] = {
        "world": world,
        "name": name,
        "service": replica.service,
        "tier": replica.tier,
        "addresses": (str(replica.address_in(world)),),
        "port": replica.port,
        "version": "",
        "at": now,
        "declared": Amounts(1.5, 201_000_000, 64),
        "cgroup": CgroupAmounts(Amounts(1.0, 201_000_000, 64), 63),
        "log": ReplicaLog(tuple(lines), tuple(requests), 500, 123),
        "links": (LinkCounters("eth0", *counts), LinkCounters("eth1", *counts)),
        "policy": ReplicaPolicy(True, tuple(rules), 7, 123_456_789),
    }
    return ReplicaDetail(**{**values, **changes})
