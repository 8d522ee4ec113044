"""The registry's own families at /metrics: who is registered, and how often leases are renewed."""

from __future__ import annotations

from collections import Counter

from services.common.metrics import Families, counter, gauge
from services.service_registry.leases import Leases


def of_leases(leases: Leases) -> Families:
    """Give the instances of each service by state: live, lapsed or left; and the heartbeats."""
    states = {"live": leases.live(), "lapsed": leases.lapsed(), "left": leases.left()}
    numbers = {
        state: Counter(entry.service for entry in entries) for state, entries in states.items()
    }
    services = sorted(set().union(*numbers.values()))
    yield gauge(
        "registry_instances",
        "Instances of each service: live, lapsed (10 minutes), left (the last minute).",
        ("service", "state"),
        (
            ((service, state), number[service])
            for service in services
            for state, number in numbers.items()
        ),
    )
    rows = [((), leases.heartbeats)]
    yield counter("registry_heartbeats_total", "Leases that were renewed.", (), rows)
