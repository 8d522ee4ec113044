"""wrk, with keep-alive clients: one bounded run.

Used where a server must be driven harder than by `ab`, which itself is at its limit near 30,000
requests a second on one core. The parser is pure. Source: wrk(1); its units are us, ms, s and k,
M, G.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import CannotTell
from twinstack.linux import process

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_BYTES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
#: Until an answer counts as lost.
_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class WrkReport:
    """One run. Units: seconds, bytes, milliseconds."""

    complete: int
    non_2xx: int  # neither 2xx nor 3xx
    lost: int  # connections that failed or timed out
    seconds: float
    transferred_bytes: int
    p50_ms: float
    p99_ms: float

    @property
    def success(self) -> int:
        """Count the answers that were 2xx or 3xx."""
        return max(0, self.complete - self.non_2xx)

    @property
    def failed(self) -> int:
        """Count the requests without a 2xx or 3xx answer."""
        return self.non_2xx + self.lost

    @property
    def rate(self) -> float:
        return self.success / self.seconds if self.seconds > 0 else 0.0


def command(
    url: str,
    *,
    connections: int,
    duration_s: int,
    headers: Sequence[str] = (),
    script: Path | None = None,
) -> list[str]:
    """Give the command line of a run; a `script` in Lua makes its requests."""
    words = f"wrk --latency -t 1 -c {connections} -d {duration_s}s --timeout {_TIMEOUT_S}s".split()
    words += [] if script is None else ["-s", str(script)]
    return [*words, *(word for header in headers for word in ("-H", header)), url]


def run(command: Sequence[str], duration_s: int) -> WrkReport:
    """Run a command line of wrk. Raises: Missing without `wrk`; StepFailed; CannotTell."""
    return parse(process.run(command, timeout_s=duration_s + 30.0).stdout)


def parse(text: str) -> WrkReport:
    """Read a report. Raises: CannotTell when a line is missing."""
    total = _find(text, r"(\d+) requests in ([\d.]+)(us|ms|s|m), ([\d.]+)(B|KB|MB|GB) read")
    p50 = _find(text, r"50%\s+([\d.]+)(us|ms|s|m)\b")
    p99 = _find(text, r"99%\s+([\d.]+)(us|ms|s|m)\b")
    counters = r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)"
    errors = re.search(counters, text)
    non_2xx = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return WrkReport(
        complete=int(total[1]),
        non_2xx=int(non_2xx[1]) if non_2xx else 0,
        lost=sum(map(int, errors.groups())) if errors else 0,
        seconds=float(total[2]) * _SECONDS[total[3]],
        transferred_bytes=int(float(total[4]) * _BYTES[total[5]]),
        p50_ms=float(p50[1]) * _SECONDS[p50[2]] * 1e3,
        p99_ms=float(p99[1]) * _SECONDS[p99[2]] * 1e3,
    )


def _find(text: str, pattern: str) -> re.Match[str]:
    match = re.search(pattern, text)
    if match is None:
        cause = " ".join(text.split())[-200:] or "it is empty"
        raise CannotTell("wrk's report", "lacks a figure", cause, "see that the server answers")
    return match
