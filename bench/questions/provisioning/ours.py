"""Time the network part of our own `up` or `down`, in a process of its own, by what it does.

    python -m bench.questions.provisioning.ours up|down NAMESPACES INSTANCE

The clock starts after the imports and after the plan is resolved, where the network part begins:
looking, comparing, doing. Prints one JSON object, in milliseconds. `race` runs it.
"""

from __future__ import annotations

import json
import mmap
import resource
import struct
import sys
import time
from pathlib import Path
from typing import NoReturn

from bench.questions.provisioning import topologies
from twinstack.errors import TwinstackError
from twinstack.namespaces import world
from twinstack.namespaces.world import NamespaceWorld

_TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
_SLOT = struct.Struct("=d")
#: The first words of the steps' names; before the first step of all we look and compare.
KINDS = ("look", "sysctl", "bridge", "rules", "table", "namespace", "veth", "mount", "other")


class Stopwatch:
    """A watch that charges time to kinds of steps, also those that a forked child takes.

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
        found = {kind: self._get(2 + place) for place, kind in enumerate(KINDS)}
        return {kind: ms for kind, ms in found.items() if ms}

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
    """Bring so many up, without what runs in them. Units: ms. Raises: as `NamespaceWorld.up`."""
    start = time.monotonic()
    plan = topologies.plan(namespaces, instance)
    resolved, cpu = time.monotonic(), _cpu_ms()
    watch = Stopwatch()
    made = NamespaceWorld(plan, _no_software, _TEMPLATES, bare=True, watch=watch)
    made.up(timeout_s=60, progress=_unheard)
    return {
        "total": (time.monotonic() - resolved) * 1e3,
        "cpu": _cpu_ms() - cpu,
        "plan": (resolved - start) * 1e3,
        **watch.figures(),
    }


def down(instance: str) -> dict[str, float]:
    """Take it down, knowing nothing but its name. Units: ms. Raises: as `world.down`."""
    start, cpu = time.monotonic(), _cpu_ms()
    watch = Stopwatch()
    world.down(instance, progress=_unheard, watch=watch)
    total = (time.monotonic() - start) * 1e3
    return {"total": total, "cpu": _cpu_ms() - cpu, **watch.figures()}


def _cpu_ms() -> float:
    """Give what this process and its ended children have used of the processors. Units: ms."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used) * 1e3


def _unheard(_: str) -> None:
    pass


def _no_software(_: object) -> NoReturn:
    raise TwinstackError("the network alone", "needs no software", "this was asked for", "")


def main() -> None:
    """Do what the command line asks for."""
    what, namespaces, instance = sys.argv[1:]
    found = up(int(namespaces), instance) if what == "up" else down(instance)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
