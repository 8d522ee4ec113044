"""The faults to find, by area: a module of each, with `DRILLS`."""

from __future__ import annotations

from twinstack.drill.catalogue import (
    addresses,
    conntrack,
    links,
    nat,
    overlay,
    processes,
    routes,
    rules,
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
)
