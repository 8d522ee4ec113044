"""The drills, a module for each area; each has a tuple `DRILLS`."""

from __future__ import annotations

from twinstack.drill.catalogue import (
    addresses,
    confinement,
    conntrack,
    docker,
    edge,
    limits,
    links,
    names,
    nat,
    overlay,
    postgres,
    processes,
    redis,
    registry,
    routes,
    rules,
    secrets,
    storage,
)
from twinstack.drill.drill import Drill

#: Every drill, in the order of the modules.
DRILLS: tuple[Drill, ...] = (
    *links.DRILLS,
    *addresses.DRILLS,
    *routes.DRILLS,
    *nat.DRILLS,
    *rules.DRILLS,
    *conntrack.DRILLS,
    *overlay.DRILLS,
    *processes.DRILLS,
    *names.DRILLS,
    *limits.DRILLS,
    *confinement.DRILLS,
    *storage.DRILLS,
    *secrets.DRILLS,
    *edge.DRILLS,
    *registry.DRILLS,
    *redis.DRILLS,
    *postgres.DRILLS,
    *docker.DRILLS,
)
