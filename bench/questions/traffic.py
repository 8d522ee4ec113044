"""Is `traffic.report` as fast as tshark's table of conversations, and is its memory bounded?

Both read the same capture, by turns in random order, as their users start them: ours as `invoke
traffic.report FILE --json` with all that it reports, tshark as `tshark -q -z conv,tcp -r FILE`.
Peak memory is measured on a file and on a third of it, by which, from 600 MB on, tables are full.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.engine.design import WARM_UP, interleave, require_rounds
from bench.engine.estimate import Holds, Ratio, above, exit_code, grouped, median, paired, spread
from bench.engine.show import columns, extremes, wrap
from bench.engine.store import Outcome
from bench.questions import traffic_file
from bench.questions.traffic_file import PcapFile
from twinstack.errors import Missing, StepFailed
from twinstack.model import bounds
from twinstack.observe.traffic.flow_table import MAX_FLOWS
from twinstack.reconcile import Progress
from twinstack.stack import REPOSITORY, Stack

OURS, TSHARK = "traffic.report", "tshark conv,tcp"
#: At least as fast; and by how much memory may grow from a third of the file to all of it.
LEAST = 1.0
MEMORY_GROWTH = 1.15
_LEAST_MB, _MOST_MB = 10, 2_000


@dataclass(frozen=True, slots=True)
class ReadRun:
    """One reading of a capture."""

    name: str
    megabytes: int
    wall_s: float
    cpu_s: float
    peak_bytes: int
    round: int


@dataclass(frozen=True, slots=True)
class ReadSpeed:
    """The comparison."""

    packets: int
    bytes: int
    runs: tuple[ReadRun, ...]
    faster: Ratio  # tshark's time over ours: 2 is twice as fast
    faster_by_cpu: Ratio
    level_memory: bool | None  # None: the smaller file was too small to fill our tables
    aim: Holds
    seed: int

    @property
    def code(self) -> int:
        """Give the exit code."""
        code = exit_code(self.aim)
        return 1 if not code and self.level_memory is False else code


def ask(stack: Stack, *, megabytes: int, rounds: int, progress: Progress) -> Outcome:
    """Compare both. Raises: Missing without tshark; StepFailed; TwinstackError for odd options."""
    require_rounds(rounds)
    bounds.within("megabytes", megabytes, _LEAST_MB, _MOST_MB)
    tshark = shutil.which("tshark")
    if tshark is None:
        remedy = 'run "make setup"'
        raise Missing("tshark", "is missing", "it is the program to compare with", remedy)
    plan = stack.plan()
    seed = random.SystemRandom().getrandbits(32)
    with TemporaryDirectory(prefix="twinstack-traffic-") as folder:
        progress(f"writing {megabytes} MB")
        large = traffic_file.write(Path(folder) / "large.pcap", plan, megabytes * 10**6, seed)
        small = traffic_file.write(Path(folder) / "small.pcap", plan, megabytes * 10**6 // 3, seed)

        def read(name: str, number: int, file: PcapFile = large) -> ReadRun:
            ours = [sys.executable, "-m", "invoke", "traffic.report", str(file.path), "--json"]
            theirs = [tshark, "-q", "-z", "conv,tcp", "-r", str(file.path)]
            return _run(name, ours if name == OURS else theirs, file.bytes, number)

        # Reading the small file warms the page cache up too.
        runs = [read(name, WARM_UP, small) for name in (OURS, TSHARK)]
        runs += interleave(
            (OURS, TSHARK), read, rounds, seed, progress, warmups=0, figure="wall_s", unit=" s"
        )
    speed = summarise(large, runs, seed, full=small.connections >= MAX_FLOWS)
    return Outcome("traffic", plan, speed, text(speed), speed.code)


def _run(name: str, words: Sequence[str], size: int, number: int) -> ReadRun:
    start_s = time.monotonic()
    with subprocess.Popen(
        words, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        remedy = f'run "{" ".join(words[:4])} …" by hand'
        raise StepFailed(name, "failed", f"exit code {running.returncode}", remedy)
    wall_s = time.monotonic() - start_s
    cpu_s = usage.ru_utime + usage.ru_stime
    return ReadRun(name, round(size / 1e6), wall_s, cpu_s, usage.ru_maxrss * 1024, number)


def summarise(file: PcapFile, runs: Sequence[ReadRun], seed: int, *, full: bool) -> ReadSpeed:
    """Turn runs into the comparison; `full`: the smaller file filled our tables; pure."""
    size = max(run.megabytes for run in runs)
    large = grouped((run for run in runs if run.megabytes == size), lambda run: run.name)
    small = next(run for run in runs if run.name == OURS and run.megabytes != size)
    faster = paired(large[TSHARK], large[OURS], "wall_s", seed=seed)
    peak = max(run.peak_bytes for run in large[OURS])
    return ReadSpeed(
        file.packets,
        file.bytes,
        tuple(runs),
        faster,
        paired(large[TSHARK], large[OURS], "cpu_s", seed=seed),
        peak <= MEMORY_GROWTH * small.peak_bytes if full else None,
        above(faster, LEAST),
        seed,
    )


def text(speed: ReadSpeed) -> str:
    """Write the result down."""
    rows = []
    groups = grouped(speed.runs, lambda run: (run.megabytes, run.name))
    for (megabytes, name), runs in sorted(groups.items()):
        wall = spread([run.wall_s for run in runs])
        cpu, peak = median(runs, "cpu_s"), max(run.peak_bytes for run in runs) / 1e6
        times = [f"{wall.median:.1f}", extremes(wall, 1), f"{cpu:.1f}"]
        rows.append([name, str(megabytes), *times, f"{peak:.0f}"])
    words = {True: "yes", False: "NO", None: "not judged, it takes 600 MB"}
    faster = speed.faster
    lines = [
        f"{speed.packets} packets, {speed.bytes / 1e6:.0f} MB",
        "",
        columns(["", "MB", "wall s", "(min–max)", "CPU s", "peak MB"], rows),
        "",
    ]
    ours = (
        f"On {max(run.megabytes for run in speed.runs)} MB ours is {faster.estimate:.2f} times as "
        f"fast as tshark [{faster.low:.2f}, {faster.high:.2f}], "
        f"{speed.faster_by_cpu.estimate:.2f} by CPU time."
    )
    level = f"Memory level over three times the file: {words[speed.level_memory]}."
    return "\n".join([*lines, wrap(ours, f"At least as fast: {speed.aim}. {level}")])
