"""How long until a world is healthy, and how much memory does it take?

The world is taken down and brought up a few times, everything built beforehand. The time is that
of `up` itself: from the first step to the last service's healthy answer. Memory is the sum of
the proportional set sizes (PSS) of all its processes: shared pages are counted once, by parts.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.engine import worlds
from bench.engine.show import columns, wrap
from bench.engine.store import Outcome
from twinstack.errors import CannotTell
from twinstack.linux.counters import pss_bytes
from twinstack.model import bounds
from twinstack.model.topology import WorldName
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.statistics.estimate import spread
from twinstack.world import LocalWorld

#: The most that a start may take, and the namespace world's memory. Units: seconds, bytes.
MOST_S: dict[WorldName, float] = {"net": 2.0, "docker": 8.0}
MOST_BYTES = 600 << 20
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Startup:
    """One world's start. Units: seconds, bytes."""

    world: WorldName
    up_s: tuple[float, ...]
    down_s: tuple[float, ...]
    pss: dict[str, int]  # by replica, and "supervision" for the rest

    @property
    def soon(self) -> bool:
        """Tell whether the slowest `up` is within the bound."""
        return max(self.up_s) <= MOST_S[self.world]

    @property
    def small(self) -> bool:
        return self.world != "net" or sum(self.pss.values()) < MOST_BYTES

    @property
    def sentence(self) -> str:
        """Say both, with their bounds."""
        ups, total_bytes = spread(self.up_s), sum(self.pss.values())
        memory = f"memory {total_bytes / (1 << 20):.0f} MiB (PSS of all processes"
        if self.world == "net":
            memory += f"; below {MOST_BYTES >> 20}: {_holds(self.small)}"
        return (
            f"{self.world}.up: healthy after {ups.median:.1f} s "
            f"({ups.minimum:.1f}–{ups.maximum:.1f}, {ups.count} times); "
            f"within {MOST_S[self.world]:g} s: {_holds(self.soon)}; {memory})."
        )


def ask(stack: Stack, *, times: int, progress: Progress) -> Outcome:
    """Time both worlds as they run now, and leave them so. Raises: as `measure`."""
    bounds.times(times)
    starts, plans = [], []
    for name in worlds.NAMES:
        with worlds.left_as_it_was(stack, name, progress):
            world = worlds.as_it_runs(stack, name)
            plans.append(world.plan)
            starts.append(measure(world, times=times, progress=progress))
    text, (net, docker) = table(starts), plans
    if net.shape != docker.shape:
        text += f"\nTheir shapes differ: net {net.shape}, docker {docker.shape}."
    code = 0 if all(start.soon and start.small for start in starts) else 1
    return Outcome("startup", net, tuple(starts), text, code)


def measure(world: LocalWorld, *, times: int, progress: Progress) -> Startup:
    """Take a world down and up `times` times, and leave it up. Raises: as `up`; CannotTell."""
    quiet: list[str] = []
    world.up(timeout_s=_TIMEOUT_S, progress=quiet.append)  # builds whatever is not built
    ups, downs = [], []
    for number in range(times):
        start = time.monotonic()
        world.down(progress=quiet.append)
        middle = time.monotonic()
        world.up(timeout_s=_TIMEOUT_S, progress=quiet.append)
        ups.append(time.monotonic() - middle)
        downs.append(middle - start)
        progress(f"{world.name}.up {number + 1}/{times}: {ups[-1]:.1f} s")
    return Startup(world.name, tuple(ups), tuple(downs), memory(world))


def memory(world: LocalWorld) -> dict[str, int]:
    """Add up the memory of each replica's processes. Units: bytes. Raises: CannotTell."""
    pss: Counter[str] = Counter()
    for process in world.processes():
        pss[process.replica] += pss_bytes(process.pid)
    for pid in world.supervising():
        pss["supervision"] += pss_bytes(pid)
    if not pss:
        cause, remedy = "no process runs", f'run "invoke {world.name}.up"'
        raise CannotTell(f"the {world.name} world", "has no memory to measure", cause, remedy)
    return dict(pss)


def table(starts: Sequence[Startup]) -> str:
    """Draw the memory of each replica, worlds beside each other, and the sentences."""
    names = dict.fromkeys(name for start in starts for name in start.pss)
    rows = [
        [name, *(f"{start.pss.get(name, 0) / (1 << 20):.1f}" for start in starts)] for name in names
    ]
    drawn = columns(["MiB (PSS)", *(start.world for start in starts)], rows)
    return f"{drawn}\n{wrap(*(start.sentence for start in starts))}"


def _holds(truth: bool) -> str:
    return "holds" if truth else "FAILS"
