"""Make a Grafana dashboard of the metric families. Pure; `docs/metrics.py` writes it.

It is of the classic model, which every Grafana imports. A test holds its fields against that page.
Source: grafana.com, Dashboard JSON model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinstack.observe.metrics.families import OWN, RELAYED

SCHEMA_VERSION = 39
_WIDTH, _HEIGHT = 12, 8  # of Grafana's 24 columns
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_NAMES = {name for family in (*OWN, *RELAYED) for name in family.series}


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph, or a row of figures."""

    title: str
    unit: str  # of Grafana's: short, percentunit, s, bytes, reqps, Bps
    queries: tuple[tuple[str, str], ...]  # expression and legend
    kind: str = "timeseries"


def selected(name: str, match: str = 'world=~"$world"') -> str:
    """Select a family's series. Raises: ValueError for a name that there is not."""
    if name not in _NAMES:
        raise ValueError(f"no family is called {name}")
    return f"{name}{{{match}}}"


def _rate(name: str, by: str, match: str = 'world=~"$world"') -> str:
    return f"sum by ({by}) (rate({selected(name, match)}[$__rate_interval]))"


def _quantile(q: float) -> str:
    return f"histogram_quantile({q}, {_BUCKETS})"


_GATEWAY = 'world=~"$world",service="api-gateway"'
_BUCKETS = _rate("http_request_duration_seconds_bucket", "world, le", _GATEWAY)
_REPLICA, _OF_REPLICA = "world, replica", "{{world}} {{replica}}"
_EDGE = _rate("twinstack_edge_requests_total", "world")
_CODES = _rate("http_requests_total", "world, code", _GATEWAY)
_UPSTREAM = _rate("gateway_upstream_requests_total", "world, upstream, outcome")
_STORE = _rate("store_calls_total", "world, store, outcome")
_CPU = _rate("twinstack_replica_cpu_seconds_total", _REPLICA)
_THROTTLED = _rate("twinstack_replica_cpu_throttled_seconds_total", _REPLICA)
_MEMORIES = ("twinstack_replica_memory_bytes", "twinstack_replica_memory_limit_bytes")
_ENTRIES = ("entries", "entries_limit")
_IN, _OUT = (
    _rate(f"twinstack_replica_network_{way}_bytes_total", _REPLICA)
    for way in ("receive", "transmit")
)
_MEMORY = " / ".join(map(selected, _MEMORIES))
_CONNTRACK = " / ".join(selected(f"twinstack_conntrack_{of}", "") for of in _ENTRIES)
_UP = f"sum by (world) ({selected('twinstack_replica_up')})"
_PIDS, _PROBE = map(
    selected, ("twinstack_replica_pids", "twinstack_replica_probe_duration_seconds")
)
_RESTARTS = f"increase({selected('twinstack_replica_restarts_total')}[5m])"
_DROPS = _rate("twinstack_policy_drops_total", "world")

PANELS = (
    Panel("Replicas up", "short", ((_UP, "{{world}}"),), "stat"),
    Panel("Requests at the edge", "reqps", ((_EDGE, "{{world}}"),)),
    Panel("Answers by status", "reqps", ((_CODES, "{{world}} {{code}}"),)),
    Panel(
        "Latency at the gateway",
        "s",
        tuple((_quantile(q), f"{{{{world}}}} p{q * 100:g}") for q in (0.5, 0.9, 0.99)),
    ),
    Panel("Requests to upstreams", "reqps", ((_UPSTREAM, "{{world}} {{upstream}} {{outcome}}"),)),
    Panel("Calls to stores", "reqps", ((_STORE, "{{world}} {{store}} {{outcome}}"),)),
    Panel("CPU", "short", ((_CPU, _OF_REPLICA),)),
    Panel("Held back by the CPU limit", "short", ((_THROTTLED, _OF_REPLICA),)),
    Panel("Memory of its limit", "percentunit", ((_MEMORY, _OF_REPLICA),)),
    Panel("Processes and threads", "short", ((_PIDS, _OF_REPLICA),)),
    Panel("Bytes in", "Bps", ((_IN, _OF_REPLICA),)),
    Panel("Bytes out", "Bps", ((_OUT, _OF_REPLICA),)),
    Panel("Restarts", "short", ((_RESTARTS, _OF_REPLICA),)),
    Panel("Health check", "s", ((_PROBE, _OF_REPLICA),)),
    Panel("Denied packets", "short", ((_DROPS, "{{world}}"),)),
    Panel("Conntrack table", "percentunit", ((_CONNTRACK, "of this host"),)),
)


def dashboard() -> dict[str, Any]:
    """Make the dashboard."""
    return {
        "id": None,
        "uid": "twinstack",
        "title": "twinstack: both worlds",
        "tags": ["twinstack"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-15m", "to": "now"},
        "timepicker": {},
        "refresh": "5s",
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "links": [],
        "annotations": {"list": []},
        "templating": {"list": [_data_source(), _world()]},
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, 24 // _WIDTH)
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {"h": _HEIGHT, "w": _WIDTH, "x": column * _WIDTH, "y": row * _HEIGHT},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _SOURCE,
                "expr": expr,
                "legendFormat": text,
            }
            for place, (expr, text) in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {},
    }


def _data_source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }


def _world() -> dict[str, Any]:
    query = "label_values(twinstack_world_up, world)"
    return {
        "name": "world",
        "label": "World",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "world"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }
