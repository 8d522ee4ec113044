"""How long until a world is healthy, and how much memory does it take?

The world is taken down and brought up a few times, everything built beforehand. The time is that
of `up` itself: from the first step to the last service's healthy answer. Memory is the sum of
the proportional set sizes (PSS) of all its processes: shared pages are counted once, by parts.

Source: proc(5), /proc/PID/smaps_rollup.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.engine.estimate import Spread, spread
from twinstack.errors import CannotTell
from twinstack.model.topology import WorldName
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

#: What issue 2 asks for. Units: seconds, bytes.
WANTED_S: dict[WorldName, float] = {"net": 5.0, "docker": 15.0}
WANTED_BYTES = 600 << 20


@dataclass(frozen=True, slots=True)
class Startup:
    """One world's. Units: seconds, bytes; `pss` by replica, and "supervision" for the rest."""

    world: WorldName
    up_s: tuple[float, ...]
    down_s: tuple[float, ...]
    pss: dict[str, int]

    @property
    def total_bytes(self) -> int:
        """Add the memory up."""
        return sum(self.pss.values())

    @property
    def sentence(self) -> str:
        """Say both, against what is wanted; the slowest `up` decides."""
        ups: Spread = spread(self.up_s)
        wanted_s = WANTED_S[self.world]
        memory = f"memory {self.total_bytes / (1 << 20):.0f} MiB (PSS of all processes"
        if self.world == "net":
            memory += f"; below {WANTED_BYTES >> 20}: {_holds(self.total_bytes < WANTED_BYTES)}"
        return (
            f"{self.world}.up: healthy after {ups.median:.1f} s "
            f"({ups.minimum:.1f}–{ups.maximum:.1f}, {ups.count} times); "
            f"within {wanted_s:g} s: {_holds(ups.maximum <= wanted_s)}; {memory})."
        )


def measure(
    world: LocalWorld,
    *,
    times: int = 3,
    timeout_s: float = 120.0,
    supervising: Callable[[], Iterable[int]] = tuple,
    progress: Progress,
) -> Startup:
    """Take a world down and up `times` times, and leave it up.

    `supervising` names further pids that belong to the world once it is up. Raises: as
    `World.up`.
    """
    quiet: list[str] = []
    world.up(timeout_s=timeout_s, progress=quiet.append)  # whatever is not built, is built now
    ups, downs = [], []
    for number in range(times):
        start = time.monotonic()
        world.down(progress=quiet.append)
        middle = time.monotonic()
        world.up(timeout_s=timeout_s, progress=quiet.append)
        ups.append(time.monotonic() - middle)
        downs.append(middle - start)
        progress(f"{world.name}.up {number + 1}/{times}: {ups[-1]:.1f} s")
    return Startup(world.name, tuple(ups), tuple(downs), memory(world, supervising()))


def memory(world: LocalWorld, supervising: Iterable[int] = ()) -> dict[str, int]:
    """Add up the memory of each replica's processes. Units: bytes. Raises: CannotTell."""
    found: dict[str, int] = {}
    for process in world.processes():
        found[process.replica] = found.get(process.replica, 0) + pss_bytes(process.pid)
    others = sum(pss_bytes(pid) for pid in supervising)
    if others:
        found["supervision"] = others
    if not found:
        raise CannotTell(
            f"the {world.name} world",
            "has no memory to measure",
            "no process runs",
            f'run "invoke {world.name}.up"',
        )
    return found


def pss_bytes(pid: int) -> int:
    """Give a process's proportional set size; 0 when it has just ended (a probe)."""
    try:
        return parse_pss((Path("/proc") / str(pid) / "smaps_rollup").read_text(encoding="ascii"))
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except PermissionError as error:
        raise CannotTell(
            f"process {pid}", "does not show its memory", str(error), "run it as root (sudo)"
        ) from error


def parse_pss(text: str) -> int:
    """Read smaps_rollup. Units: bytes."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def table(found: Iterable[Startup]) -> str:
    """Draw the memory of each replica, worlds beside each other, and the sentences."""
    worlds = list(found)
    names = list(dict.fromkeys(name for one in worlds for name in one.pss))
    head = f"{'MiB (PSS)':<24}" + "".join(f"{one.world:>10}" for one in worlds)
    lines = [head]
    for name in names:
        cells = "".join(f"{one.pss.get(name, 0) / (1 << 20):>10.1f}" for one in worlds)
        lines.append(f"{name:<24}{cells}")
    return "\n".join([*lines, *(textwrap.fill(one.sentence, 80) for one in worlds)])


def _holds(truth: bool) -> str:
    return "holds" if truth else "FAILS"
