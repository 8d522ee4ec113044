"""wrk: one bounded run with keep-alive clients, and what its report says; the parser is pure.

Used where a server must be driven harder than `ab` can: `ab` itself tops out near 30,000 requests
a second on one core. Source: wrk(1); units in its text are us, ms, s and k, M, G.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from twinstack.errors import CannotTell
from twinstack.linux import process

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_BYTES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


@dataclass(frozen=True, slots=True)
class WrkReport:
    """One run. Units: seconds, bytes, milliseconds. `success` counts 2xx and 3xx answers."""

    complete: int
    non_2xx: int
    lost: int
    seconds: float
    transferred_bytes: int
    p50_ms: float
    p99_ms: float

    @property
    def success(self) -> int:
        """Count the answers that were 2xx or 3xx."""
        return max(0, self.complete - self.non_2xx)

    @property
    def rate(self) -> float:
        """Give successes per second."""
        return self.success / self.seconds if self.seconds > 0 else 0.0


def run(
    url: str,
    *,
    connections: int,
    duration_s: int,
    threads: int = 1,
    prefix: Sequence[str] = (),
    headers: Sequence[str] = (),
) -> WrkReport:
    """Drive `url` for a while; `prefix` are the words that lead to where it is run from.

    Raises: Missing without `wrk`; StepFailed; CannotTell.
    """
    said = [word for header in headers for word in ("-H", header)]
    done = process.run(
        (
            *prefix,
            "wrk",
            "--latency",
            "-t",
            str(threads),
            "-c",
            str(connections),
            "-d",
            f"{duration_s}s",
            "--timeout",
            "5s",
            *said,
            url,
        ),
        timeout_s=duration_s + 30.0,
    )
    return parse(done.stdout)


def parse(text: str) -> WrkReport:
    """Read a report. Raises: CannotTell when a line is not there."""
    total = _find(text, r"(\d+) requests in ([\d.]+)(us|ms|s|m), ([\d.]+)(B|KB|MB|GB) read")
    p50 = _find(text, r"50%\s+([\d.]+)(us|ms|s|m)\b")
    p99 = _find(text, r"99%\s+([\d.]+)(us|ms|s|m)\b")
    errors = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    non_2xx = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return WrkReport(
        complete=int(total[1]),
        non_2xx=int(non_2xx[1]) if non_2xx else 0,
        lost=sum(int(one) for one in errors.groups()) if errors else 0,
        seconds=float(total[2]) * _SECONDS[total[3]],
        transferred_bytes=int(float(total[4]) * _BYTES[total[5]]),
        p50_ms=float(p50[1]) * _SECONDS[p50[2]] * 1e3,
        p99_ms=float(p99[1]) * _SECONDS[p99[2]] * 1e3,
    )


def _find(text: str, pattern: str) -> re.Match[str]:
    found = re.search(pattern, text)
    if found is None:
        said = " ".join(text.split())[-200:]
        raise CannotTell(
            "wrk's report", "lacks a figure", said or "it is empty", "see that the server answers"
        )
    return found
