"""The faults to find, by area: a module of each, with `DRILLS`."""

from __future__ import annotations

from twinstack.drill.catalogue import (
    processes,
)
from twinstack.drill.drill import Drill

#: Every drill, in the order of the modules.
DRILLS: tuple[Drill, ...] = (*processes.DRILLS,)
