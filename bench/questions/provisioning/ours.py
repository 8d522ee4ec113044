"""Time the network part of our own `up` or `down`, in a process of its own, by what it does.

    python -m bench.questions.provisioning.ours up|down NAMESPACES INSTANCE

The clock starts after the imports and after the plan is resolved, where the network part begins:
facts, difference, steps. Prints one JSON object, in milliseconds. `race` runs it.
"""

from __future__ import annotations

import json
import mmap
import struct
import sys
import time

from bench.questions.provisioning import host, topologies
from twinstack.namespaces import world
from twinstack.namespaces.world import NamespaceWorld

_SLOT = struct.Struct("=d")
#: The first words of the steps' names; before the first step come facts and difference.
KINDS = ("look", "sysctl", "bridge", "rules", "table", "namespace", "veth", "mount", "other")


class Stopwatch:
    """A watch that charges time to kinds of steps, also to those of a forked child.

    Its figures lie in memory that parent and child share. What passes between two steps counts
    with the first. Units: milliseconds.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SLOT.size * (2 + len(KINDS)))
        self._put(0, time.monotonic())

    def before(self, step: str) -> None:
        self._charge()
        kind = step.split(" ", 1)[0]
        self._put(1, KINDS.index(kind) if kind in KINDS else len(KINDS) - 1)

    def during(self, step: str) -> None:
        pass

    after = during

    def figures(self) -> dict[str, float]:
        """Give what was charged to each kind so far."""
        self._charge()
        charged = {kind: self._get(2 + slot) for slot, kind in enumerate(KINDS)}
        return {kind: ms for kind, ms in charged.items() if ms}

    def _charge(self) -> None:
        now = time.monotonic()
        slot = 2 + int(self._get(1))
        self._put(slot, self._get(slot) + (now - self._get(0)) * 1e3)
        self._put(0, now)

    def _get(self, slot: int) -> float:
        return float(_SLOT.unpack_from(self._memory, slot * _SLOT.size)[0])

    def _put(self, slot: int, value: float) -> None:
        _SLOT.pack_into(self._memory, slot * _SLOT.size, value)


def up(namespaces: int, instance: str) -> dict[str, float]:
    """Bring so many up, without services. Units: ms. Raises: as `NamespaceWorld.up`."""
    start = time.monotonic()
    plan = topologies.plan(namespaces, instance)
    resolved, cpu_s = time.monotonic(), host.cpu_s()
    watch = Stopwatch()
    net = NamespaceWorld(plan, host.no_software, bare=True, watch=watch)
    net.up(timeout_s=60, progress=host.quiet)
    return {
        "total": (time.monotonic() - resolved) * 1e3,
        "cpu": (host.cpu_s() - cpu_s) * 1e3,
        "plan": (resolved - start) * 1e3,
        **watch.figures(),
    }


def down(instance: str) -> dict[str, float]:
    """Take it down, knowing nothing but its name. Units: ms. Raises: as `world.down`."""
    start, cpu_s = time.monotonic(), host.cpu_s()
    watch = Stopwatch()
    world.down(instance, progress=host.quiet, watch=watch)
    total = (time.monotonic() - start) * 1e3
    return {"total": total, "cpu": (host.cpu_s() - cpu_s) * 1e3, **watch.figures()}


def main() -> None:
    """Do what the command line names."""
    direction, namespaces, instance = sys.argv[1:]
    figures = up(int(namespaces), instance) if direction == "up" else down(instance)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
