"""The metric families of GET /metrics: names, types, labels, help. Pure.

One list for the exposition, the page docs/metrics.md, the alert rules and the Grafana dashboard, so
that none can name a family that another does not know. Names and units follow Prometheus' own
conventions: seconds and bytes, `_total` for what only grows, a ratio is left to the reader.
Source: prometheus.io, Metric and label naming; Writing exporters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
NONE: tuple[str, ...] = ()
WORLD = ("world",)
REPLICA = ("world", "service", "replica")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    source: str  # where its value is read

    @property
    def series(self) -> tuple[str, ...]:
        """Name its series: a histogram has three."""
        parts = ("_bucket", "_sum", "_count") if self.kind == "histogram" else ("",)
        return tuple(f"{self.name}{part}" for part in parts)


def _of_replica(name: str, kind: Kind, help_text: str, source: str) -> Family:
    return Family(f"twinstack_replica_{name}", kind, help_text, REPLICA, source)


#: What the watchers of both worlds know.
OWN = (
    Family(
        "twinstack_world_up",
        "gauge",
        "Whether a world is up: 1 or 0.",
        WORLD,
        "the supervisor, the engine",
    ),
    Family(
        "twinstack_world_info",
        "gauge",
        "1, with the shape that a world is up in: flat or tiered.",
        ("world", "shape"),
        "the plan",
    ),
    Family(
        "twinstack_world_sample_timestamp_seconds",
        "gauge",
        "When the values of a world were read, in seconds since 1970.",
        WORLD,
        "its watcher",
    ),
    Family(
        "twinstack_edge_requests_total",
        "counter",
        "Requests that nginx took, without its watcher's own.",
        WORLD,
        "nginx, stub_status",
    ),
    Family(
        "twinstack_policy_drops_total",
        "counter",
        "Packets that the policy denied.",
        WORLD,
        "the DROP rule of our chain DENY",
    ),
    Family(
        "twinstack_conntrack_entries",
        "gauge",
        "Connections in this host's conntrack table, which both worlds share.",
        NONE,
        "nf_conntrack_count",
    ),
    Family(
        "twinstack_conntrack_entries_limit",
        "gauge",
        "Connections that this host's conntrack table can hold.",
        NONE,
        "nf_conntrack_max",
    ),
    _of_replica(
        "up",
        "gauge",
        "Whether a replica serves, by its own health check: 1 or 0.",
        "the declared health check",
    ),
    _of_replica(
        "degraded",
        "gauge",
        "Whether a replica serves but lacks something that it needs: 1 or 0.",
        "the declared health check",
    ),
    _of_replica(
        "probe_duration_seconds",
        "gauge",
        "How long the last health check took.",
        "the declared health check",
    ),
    _of_replica(
        "restarts_total",
        "counter",
        "New main processes of a replica since its watcher started.",
        "its main process",
    ),
    _of_replica(
        "start_time_seconds",
        "gauge",
        "When its main process started, in seconds since 1970.",
        "/proc/PID/stat",
    ),
    _of_replica("cpu_seconds_total", "counter", "CPU time used.", "cgroup: cpuacct.usage"),
    _of_replica(
        "cpu_limit_cores", "gauge", "CPU time per second that its quota allows.", "cgroup: cpu.max"
    ),
    _of_replica(
        "cpu_periods_total",
        "counter",
        "Periods of its CPU quota in which it ran.",
        "cgroup: cpu.stat",
    ),
    _of_replica(
        "cpu_throttled_periods_total",
        "counter",
        "Periods in which it used up its CPU quota.",
        "cgroup: cpu.stat",
    ),
    _of_replica(
        "cpu_throttled_seconds_total",
        "counter",
        "Time that its CPU quota kept it waiting.",
        "cgroup: cpu.stat",
    ),
    _of_replica(
        "memory_bytes",
        "gauge",
        "Memory in use, without file cache that the kernel may drop.",
        "cgroup: memory.stat",
    ),
    _of_replica("memory_limit_bytes", "gauge", "Memory that it may use.", "cgroup: memory.max"),
    _of_replica("pids", "gauge", "Processes and threads.", "cgroup: pids.current"),
    _of_replica(
        "pids_limit", "gauge", "Processes and threads that it may have.", "cgroup: pids.max"
    ),
    _of_replica(
        "network_receive_bytes_total",
        "counter",
        "Bytes received by all its interfaces but the loopback.",
        "/proc/PID/net/dev",
    ),
    _of_replica(
        "network_transmit_bytes_total",
        "counter",
        "Bytes sent by all its interfaces but the loopback.",
        "/proc/PID/net/dev",
    ),
    _of_replica(
        "metrics_up",
        "gauge",
        "Whether its own GET /metrics was read and is relayed here: 1 or 0.",
        "GET /metrics, inside its namespace",
    ),
)
BY_NAME = {family.name: family for family in OWN}


def _relayed(name: str, kind: Kind, help_text: str, labels: str = "", source: str = "") -> Family:
    return Family(name, kind, help_text, (*REPLICA, *labels.split()), source or "all in Python")


#: What services say of themselves and is relayed. A label of theirs that has the name of one of
#: ours is `exported_…`, as Prometheus itself calls it.
RELAYED = (
    _relayed(
        "http_requests_total",
        "counter",
        "Requests answered, but for those of /health and /metrics.",
        "method code",
    ),
    _relayed(
        "http_request_duration_seconds",
        "histogram",
        "From a request's head to its answer.",
        "le",
    ),
    _relayed(
        "store_calls_total", "counter", "Calls to each store.", "store outcome", "product, order"
    ),
    _relayed(
        "store_call_seconds_total",
        "counter",
        "Time waited for each store.",
        "store",
        "product, order",
    ),
    _relayed(
        "peer_calls_total",
        "counter",
        "Calls to the registry and to instances.",
        "peer outcome",
        "product, order",
    ),
    _relayed(
        "peer_call_seconds_total", "counter", "Time waited for each.", "peer", "product, order"
    ),
    _relayed(
        "cache_reads_total",
        "counter",
        "Reads of the catalogue, by where they were served from.",
        "result",
        "product",
    ),
    _relayed("orders_total", "counter", "Orders, by what became of them.", "outcome", "order"),
    _relayed(
        "gateway_upstream_requests_total",
        "counter",
        "Requests sent to each upstream.",
        "exported_service upstream outcome",
        "gateway",
    ),
    _relayed(
        "gateway_upstream_seconds_total",
        "counter",
        "Time until each upstream's answers were whole.",
        "exported_service upstream",
        "gateway",
    ),
    _relayed(
        "gateway_upstream_shunned",
        "gauge",
        "1 while an upstream is passed over.",
        "exported_service upstream",
        "gateway",
    ),
    _relayed(
        "gateway_retries_total",
        "counter",
        "Requests that were sent a second time.",
        "exported_service",
        "gateway",
    ),
    _relayed("gateway_in_flight", "gauge", "Requests under way.", "", "gateway"),
    _relayed(
        "registry_instances",
        "gauge",
        "Instances of each service, by state.",
        "exported_service state",
        "registry",
    ),
    _relayed("registry_heartbeats_total", "counter", "Leases that were renewed.", "", "registry"),
    _relayed("process_cpu_seconds_total", "counter", "CPU time of the process."),
    _relayed("process_resident_memory_bytes", "gauge", "Resident memory of the process."),
    _relayed("process_virtual_memory_bytes", "gauge", "Virtual memory of the process."),
    _relayed("process_start_time_seconds", "gauge", "When the process started, since 1970."),
    _relayed("process_open_fds", "gauge", "Open file descriptors."),
    _relayed("process_max_fds", "gauge", "File descriptors that it may open."),
)
