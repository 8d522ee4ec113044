"""The faults to find, by area: a module of each, with `DRILLS`."""

from __future__ import annotations

from twinstack.drill.catalogue import (
    confinement,
    docker,
    edge,
    limits,
    names,
    postgres,
    processes,
    redis,
    registry,
    secrets,
    storage,
)
from twinstack.drill.drill import Drill

#: Every drill, in the order of the modules.
DRILLS: tuple[Drill, ...] = (
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
