"""Sampled stacks: which functions of the kernel the CPUs were in while something ran.

`perf` interrupts every CPU some hundred times a second of CPU time (event cpu-clock: it needs no
hardware counters) and keeps the stack. Source: perf-record(1), perf-script(1).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from twinstack.linux import process
from twinstack.linux.waiting import until

#: Above this address are the kernel's functions.
_KERNEL = 1 << 63
_HZ, _START_S, _MOST_S = 499, 5.0, 60.0
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SampledStack:
    """One sample, the innermost function first."""

    command: str
    period_us: float  # of CPU time that it stands for
    functions: tuple[str, ...]  # of the kernel; none: it ran in user space


def parse_script(text: str) -> Iterator[SampledStack]:
    """Read `perf script -F comm,pid,period,ip,sym`: a head, then a line for each function."""
    for sample in text.split("\n\n"):
        head, *frames = sample.strip("\n").split("\n")
        match = re.match(r"\s*(.*\S)\s+\d+\s+(\d+)\s*$", head)
        if match is None:
            continue
        pairs = (frame.split(maxsplit=1) for frame in frames)
        kernel = takewhile(lambda pair: int(pair[0], 16) >= _KERNEL, pairs)
        yield SampledStack(match[1], int(match[2]) / 1e3, tuple(pair[-1] for pair in kernel))


def sampled(work: Callable[[], Result]) -> tuple[Result, list[SampledStack]]:
    """Sample all CPUs while some work is done. Raises: Missing, StepFailed; as the work."""
    with TemporaryDirectory(prefix="twinstack-perf-") as folder:
        data, began, end = (Path(folder, name) for name in ("perf.data", "began", "end"))
        os.mkfifo(end)
        record = f"perf record -q -e cpu-clock -F {_HZ} -g -a -o {data} -- sh -c".split()
        wait = process.begin([*record, f": > {began}; read _ < {end}"], timeout_s=_MOST_S)
        ending = os.open(end, os.O_RDWR)  # so that writing waits for nobody
        try:
            until(began.exists, _START_S, 0.01)
            result = work()
        finally:
            os.write(ending, b"\n")
            wait()
            os.close(ending)
        script = f"perf script -i {data} -F comm,pid,period,ip,sym"
        return result, list(parse_script(process.run(script.split(), timeout_s=_MOST_S).stdout))
