"""The alert rules, each with what it means and the command that looks closer. Pure.

The text is Prometheus' own format. A window holds at least four scrapes, so that a rate has enough
of them. Source: prometheus.io, Alerting rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import yaml

_SHORTEST_WINDOW_S = 60
_OF_REPLICA = "{{ $labels.replica }} ({{ $labels.world }})"
_LOGS = "invoke {{ $labels.world }}.logs {{ $labels.replica }}"


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule. In `expr`, WINDOW stands for the window of rates."""

    name: str
    expr: str
    scrapes: int  # in a row, for which it must hold; 0: one is enough
    severity: Literal["critical", "warning", "info"]
    summary: str
    description: str
    command: str  # looks closer


ALERTS = (
    Alert(
        "ReplicaDown",
        "twinstack_replica_up == 0",
        2,
        "critical",
        f"{_OF_REPLICA} is down",
        "It has no process, or does not answer its health check. A process that only ended is"
        " started again within seconds.",
        _LOGS,
    ),
    Alert(
        "ReplicaRestarted",
        "increase(twinstack_replica_restarts_total[WINDOW]) > 0",
        0,
        "warning",
        f"{_OF_REPLICA} was restarted",
        "Its main process was replaced by another: it died, or somebody restarted or released it.",
        _LOGS,
    ),
    Alert(
        "HighErrorRate",
        'sum by (world) (rate(http_requests_total{service="api-gateway",code=~"5.."}[WINDOW]))'
        ' / sum by (world) (rate(http_requests_total{service="api-gateway"}[WINDOW])) > 0.05',
        2,
        "critical",
        "{{ $value | humanizePercentage }} of the answers in {{ $labels.world }} are errors",
        "More than 5 % of the gateway's answers have a status of 500 or more.",
        "invoke {{ $labels.world }}.logs --level error",
    ),
    Alert(
        "HighLatency",
        "histogram_quantile(0.99, sum by (world, le) (rate("
        'http_request_duration_seconds_bucket{service="api-gateway"}[WINDOW]))) > 1',
        2,
        "warning",
        "The slowest requests in {{ $labels.world }} take {{ $value | humanizeDuration }}",
        "One in a hundred of the gateway's answers takes more than a second.",
        "invoke traffic.journey --world {{ $labels.world }}",
    ),
    Alert(
        "CpuThrottled",
        "rate(twinstack_replica_cpu_throttled_periods_total[WINDOW])"
        " / rate(twinstack_replica_cpu_periods_total[WINDOW]) > 0.25",
        2,
        "warning",
        f"{_OF_REPLICA} is held back by its CPU limit",
        "In more than a quarter of the periods in which it ran it used up its quota, and waited.",
        "invoke health --world {{ $labels.world }} --once",
    ),
    Alert(
        "MemoryNearLimit",
        "twinstack_replica_memory_bytes / twinstack_replica_memory_limit_bytes > 0.9",
        2,
        "warning",
        f"{_OF_REPLICA} uses {{{{ $value | humanizePercentage }}}} of its memory",
        "At its limit the kernel kills a process of it.",
        "invoke health --world {{ $labels.world }} --once",
    ),
    Alert(
        "ConntrackNearLimit",
        "twinstack_conntrack_entries / twinstack_conntrack_entries_limit > 0.8",
        2,
        "critical",
        "This host's conntrack table is {{ $value | humanizePercentage }} full",
        "When it is full the kernel drops new connections, of both worlds and of all else here.",
        "invoke conntrack",
    ),
    Alert(
        "PolicyDrops",
        "increase(twinstack_policy_drops_total[WINDOW]) > 0",
        0,
        "info",
        "The policy of {{ $labels.world }} denied packets",
        "Something asked for what is not a declared flow, or opened too many connections.",
        "invoke policy.drops --world {{ $labels.world }}",
    ),
    Alert(
        "WorldDown",
        "twinstack_world_up == 0 and max_over_time(twinstack_world_up[15m]) == 1",
        2,
        "warning",
        "The world {{ $labels.world }} is no longer up",
        "It was up within the last quarter of an hour.",
        "invoke {{ $labels.world }}.status",
    ),
    Alert(
        "WorldUnknown",
        "(max_over_time(twinstack_world_up[15m]) unless twinstack_world_up)"
        " and on (instance, job) up == 1",
        4,
        "warning",
        "Nothing is known of the world {{ $labels.world }}",
        "Its watcher has ended, hangs, or cannot ask the engine: no other alert of it can fire.",
        "invoke health --world {{ $labels.world }} --once",
    ),
    Alert(
        "ReplicaMetricsMissing",
        "twinstack_replica_metrics_up == 0 and on (world, service, replica)"
        " twinstack_replica_up == 1",
        4,
        "warning",
        f"The metrics of {_OF_REPLICA} cannot be read",
        "It serves, but its own GET /metrics is no answer in time, or no exposition.",
        _LOGS,
    ),
    Alert(
        "ScrapeFailing",
        'up{job="twinstack"} == 0',
        2,
        "critical",
        "GET /metrics of twinstack cannot be read",
        "So nothing is known of either world: no other alert can fire.",
        "invoke metrics.status",
    ),
)


def rules(instance: str, interval_s: int) -> str:
    """Write the rules' file. Units: interval of scrapes, in seconds."""
    window = f"{max(_SHORTEST_WINDOW_S, 4 * interval_s)}s"
    prefix = "" if instance == "main" else f"TWINSTACK_INSTANCE={instance} "
    written = [_rule(alert, window, interval_s, prefix) for alert in ALERTS]
    document = {"groups": [{"name": "twinstack", "rules": written}]}
    return yaml.safe_dump(document, sort_keys=False, width=1000)


def _rule(alert: Alert, window: str, interval_s: int, prefix: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expr.replace("WINDOW", window)}
    if alert.scrapes:
        rule["for"] = f"{alert.scrapes * interval_s}s"
    rule["labels"] = {"severity": alert.severity}
    rule["annotations"] = {
        "summary": alert.summary,
        "description": alert.description,
        "command": f"{prefix}{alert.command}",
    }
    return rule
