"""How soon does a command answer? CPU and wall time of ours beside Docker's and iproute2's.

What everybody waits for: listing, help, completion, and the tasks that only read. Commands follow
each other in rounds, in another random order each time; one that fails here (no engine, no
world) is measured to its message. The bound is on CPU time over `invoke --version`, which no task
of ours can be faster than: wall time is the machine's mood too.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.engine.show import columns, wrap
from bench.engine.store import Outcome
from twinstack.linux.counters import children_cpu_s
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.statistics.estimate import spread

_INVOKE = str(Path(sys.executable).with_name("invoke"))
FLOOR = "invoke --version"
#: The bound is on these. Units: seconds of CPU time.
MOST_S = 0.15
OURS = {
    FLOOR: (_INVOKE, "--version"),
    "invoke --list": (_INVOKE, "--list"),
    "invoke --help net.up": (_INVOKE, "--help", "net.up"),
    "completion of a service": (_INVOKE, "--complete", "--", "invoke net.exec ng"),
    "invoke policy.show": (_INVOKE, "policy.show"),
    "invoke net.logs nginx-lb": (_INVOKE, "net.logs", "nginx-lb"),
}
THEIRS = {
    "docker-compose ps": (str(Path(sys.executable).with_name("docker-compose")), "ps"),
    "ip netns list": ("ip", "netns", "list"),
}
_LONGEST_S = 30


@dataclass(frozen=True, slots=True)
class CommandTimes:
    """One command. Units: seconds."""

    command: str
    cpu_s: tuple[float, ...]
    wall_s: tuple[float, ...]
    over_s: tuple[float, ...]  # CPU time over the floor's, round by round

    @property
    def soon(self) -> bool:
        """Tell whether the median is within the bound; the others' have none."""
        return self.command not in OURS or spread(self.over_s).median <= MOST_S


def ask(stack: Stack, *, times: int, progress: Progress) -> Outcome:
    """Run every command `times` times. Raises: WrongUse; CannotTell."""
    bounds.times(times)
    rounds = []
    for number in range(times):
        rounds.append(measured({**OURS, **THEIRS}, stack.repository))
        progress(f"round {number + 1} of {times}")
    found = summed(rounds)
    code = 0 if all(each.soon for each in found) else 1
    return Outcome("commands", stack.plan(), tuple(found), table(found), code)


def measured(
    commands: Mapping[str, Sequence[str]], directory: Path
) -> dict[str, tuple[float, float]]:
    """Run each command once, in a drawn order. Units: seconds of CPU time, and in all."""
    names = random.sample(list(commands), len(commands))
    return {name: _run(commands[name], directory) for name in names}


def _run(words: Sequence[str], directory: Path) -> tuple[float, float]:
    # Users have .pyc files: make setup makes them. Compiling all again takes 0.03 s.
    own = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    start, before = time.monotonic(), children_cpu_s()
    subprocess.run(
        words, cwd=directory, env=own, capture_output=True, check=False, timeout=_LONGEST_S
    )
    return children_cpu_s() - before, time.monotonic() - start


def summed(rounds: Sequence[Mapping[str, tuple[float, float]]]) -> list[CommandTimes]:
    """Gather the rounds of each command; pure."""
    found = []
    for name in (*OURS, *THEIRS):
        cpu_s, wall_s = zip(*(each[name] for each in rounds), strict=True)
        over_s = tuple(each[name][0] - each[FLOOR][0] for each in rounds)
        found.append(CommandTimes(name, cpu_s, wall_s, over_s))
    return found


def table(found: Sequence[CommandTimes]) -> str:
    """Draw medians with their extremes, and the bound."""
    rows = []
    for each in found:
        spreads = (spread(of) for of in (each.cpu_s, each.wall_s, each.over_s))
        cells = [f"{of.median:.2f} ({of.minimum:.2f}–{of.maximum:.2f})" for of in spreads]
        rows.append([each.command, *cells])
    head = ["", "CPU s", "seconds", "CPU over the first"]
    late = [each.command for each in found if not each.soon]
    bound = f"{MOST_S:g} s of CPU time over {FLOOR}, for ours: "
    bound += f"FAILS for {', '.join(late)}" if late else "holds"
    return f"{columns(head, rows)}\n{wrap(f'{bound}. Medians of {len(found[0].cpu_s)} rounds.')}"
