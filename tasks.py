"""The front door: every task of `invoke --list`, by its noun. Their bodies are in `front`."""

from __future__ import annotations

import os

from invoke.collection import Collection

from front import (
    bench,
    chaos,
    check,
    clean,
    conntrack,
    course,
    dashboard,
    docker,
    doctor,
    drill,
    flows,
    health,
    invocation,
    metrics,
    net,
    overlay,
    policy,
    swarm,
    topology,
    tour,
    traffic,
    why,
)
from front.reporting import collection

invocation.spare_encodings()
os.environ["PATH"] = invocation.full_path(os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"))

#: Modules of `front`, each a collection of tasks.
NOUNS = (net, docker, overlay, swarm, policy, traffic, metrics, bench, check, chaos, drill, course)

namespace = Collection(
    clean.clean,
    doctor.doctor,
    health.health,
    dashboard.dashboard,
    conntrack.conntrack,
    flows.flows,
    topology.topology,
    tour.tour,
    why.why,
    *map(collection, NOUNS),
)
