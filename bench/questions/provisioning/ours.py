"""Time the network part of our own `up` or `down`, in a process of its own, by what it does.

    python -m bench.questions.provisioning.ours up|down NAMESPACES INSTANCE

The clock starts after the imports and after the plan is resolved, where the network part begins:
facts, difference, steps. Prints one JSON object, in milliseconds. `race` runs it.
"""

from __future__ import annotations

import json
import mmap
import sys
import time

from bench.questions.provisioning import host, topologies
from twinstack.namespaces import world
from twinstack.namespaces.world import NamespaceWorld

#: The first words of the steps' names; before the first step come facts and difference.
KINDS = ("look", "sysctl", "bridge", "rules", "table", "namespace", "veth", "mount", "other")


class Stopwatch:
    """A watch that charges time to kinds of steps, also to those of a forked child.

    Its figures lie in memory that parent and child share: when it was last read, the kind that is
    charged now, and a figure for each. What passes between two steps counts with the first.
    """

    def __init__(self) -> None:
        self._cells = memoryview(mmap.mmap(-1, 8 * (2 + len(KINDS)))).cast("d")
        self._cells[0] = time.monotonic()

    def before(self, step: str) -> None:
        self._charge()
        kind = step.split(" ", 1)[0]
        self._cells[1] = KINDS.index(kind if kind in KINDS else "other")

    def during(self, step: str) -> None:
        pass

    after = during

    def figures(self) -> dict[str, float]:
        """Give what was charged to each kind so far. Units: ms."""
        self._charge()
        return {kind: ms for kind, ms in zip(KINDS, self._cells[2:], strict=True) if ms}

    def _charge(self) -> None:
        now = time.monotonic()
        self._cells[2 + int(self._cells[1])] += (now - self._cells[0]) * 1e3
        self._cells[0] = now


def main() -> None:
    """Bring so many up without services, or take them down, knowing nothing but their name."""
    direction, namespaces, instance = sys.argv[1:]
    start_s = time.monotonic()
    plan = topologies.plan(int(namespaces), instance) if direction == "up" else None
    resolved_s, cpu_s, watch = time.monotonic(), host.cpu_s(), Stopwatch()
    if plan is None:
        world.down(instance, progress=host.quiet, watch=watch)
    else:
        net = NamespaceWorld(plan, host.no_software, bare=True, watch=watch)
        net.up(timeout_s=60, progress=host.quiet)
    figures = {
        "total": (time.monotonic() - resolved_s) * 1e3,
        "cpu": (host.cpu_s() - cpu_s) * 1e3,
        **({"plan": (resolved_s - start_s) * 1e3} if plan else {}),
        **watch.figures(),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
