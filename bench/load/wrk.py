"""wrk, with keep-alive clients: one bounded run.

Used where a server must be driven harder than by `ab`, which itself is at its limit near 30,000
requests a second on one core. The parser is pure. Source: wrk(1); its units are us, ms, s and k,
M, G. wrk takes whole seconds; at an interrupt it ends with its next tick, a tenth of a second, and
reports what it has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from bench.load import Tally
from twinstack.errors import CannotTell
from twinstack.linux import process

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
#: Until an answer counts as lost.
_TIMEOUT_S = 5
_TICK_S = 0.1


def command(
    url: str,
    connections: int,
    duration_s: float,
    headers: Sequence[str],
    script: Path | None = None,
) -> list[str]:
    """Give the command line of a run; a `script` in Lua makes its requests."""
    whole_s = math.ceil(duration_s)
    words = f"wrk --latency -t 1 -c {connections} -d {whole_s}s --timeout {_TIMEOUT_S}s".split()
    if duration_s < whole_s:
        bounded = "timeout --foreground --preserve-status --signal=INT"
        words = [*bounded.split(), f"{duration_s - _TICK_S / 2:g}", *words]
    words += [] if script is None else ["-s", str(script)]
    return [*words, *(word for header in headers for word in ("-H", header)), url]


def run(command: Sequence[str], duration_s: float) -> Tally:
    """Run a command line of wrk. Raises: Missing without `wrk`; StepFailed; CannotTell."""
    return parse(process.run(command, timeout_s=duration_s + 30.0).stdout)


def parse(text: str) -> Tally:
    """Read a report: an answer is good that is 2xx or 3xx. Raises: CannotTell for a missing line.

    Its figures: "seconds", "p50_ms", "p99_ms".
    """
    total = _find(text, r"(\d+) requests in ([\d.]+)(us|ms|s|m), ")
    p50 = _find(text, r"50%\s+([\d.]+)(us|ms|s|m)\b")
    p99 = _find(text, r"99%\s+([\d.]+)(us|ms|s|m)\b")
    counters = r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)"
    errors = re.search(counters, text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    non_2xx, lost = int(bad[1]) if bad else 0, sum(map(int, errors.groups())) if errors else 0
    figures = {
        "seconds": float(total[2]) * _SECONDS[total[3]],
        "p50_ms": float(p50[1]) * _SECONDS[p50[2]] * 1e3,
        "p99_ms": float(p99[1]) * _SECONDS[p99[2]] * 1e3,
    }
    return Tally(max(0, int(total[1]) - non_2xx), non_2xx + lost, figures)


def _find(text: str, pattern: str) -> re.Match[str]:
    match = re.search(pattern, text)
    if match is None:
        cause = " ".join(text.split())[-200:] or "it is empty"
        raise CannotTell("wrk's report", "lacks a figure", cause, "see that the server answers")
    return match
