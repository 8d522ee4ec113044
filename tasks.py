"""The front door: every task of `invoke --list`, by its noun. Their bodies are in `front`."""

from __future__ import annotations

import os

from invoke.collection import Collection

from front import (
    bench,
    check,
    docker,
    invocation,
    live,
    net,
    overlay,
    policy,
    swarm,
    topology,
    traffic,
    whole,
)
from front.reporting import collection

os.environ["PATH"] = invocation.full_path(os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"))

#: Modules of `front`, each a collection of tasks.
NOUNS = (net, docker, overlay, swarm, policy, traffic, bench, check)

namespace = Collection(
    whole.clean,
    whole.doctor,
    live.health,
    live.dashboard,
    live.conntrack,
    topology.topology,
    overlay.chaos,
    *map(collection, NOUNS),
)
