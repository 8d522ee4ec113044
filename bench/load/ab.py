"""ApacheBench: one bounded run of `ab`, and what its report says; the parser is pure.

`ab` has habits that make a careless reading wrong. It counts a non-2xx answer as complete. With
`-l` (answers may vary in length, or 996 of 1,000 count as failed) it also counts a connection
closed without any answer as complete and not failed, so the bytes received are compared with the
size of a known answer. A reset connection is counted as two failures. Without `-r` one reset ends
the run, and a silent connection always does: that is an error here, not a slow round. What is
left after all of that is a success.

`ab` speaks HTTP/1.0: without keep-alive every request is a connection. The side that closes first
keeps it in TIME_WAIT for a minute (about 28,000 local ports are free), and conntrack keeps it for
two, so `engine.loads` looks at both before each run and waits where they are nearly full.

Source: ab(1), apache2-utils.
"""

from __future__ import annotations

import math
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.load import Tally
from twinstack.errors import CannotTell, StepFailed
from twinstack.linux import process
from twinstack.world import Endpoint

#: `ab` gives up on a connection that is silent for this long.
SILENCE_S = 10


@dataclass(frozen=True, slots=True)
class AbLoad:
    """What one run sends."""

    path: str = "/api/products"
    requests: int = 1000
    concurrency: int = 50
    keepalive: bool = False


def command(url: str, load: AbLoad, csv_file: Path) -> tuple[str, ...]:
    """Give the command line of a run."""
    concurrency = min(load.concurrency, load.requests)
    words = f"ab -l -q -r -s {SILENCE_S} -n {load.requests} -c {concurrency}".split()
    return (*words, *(("-k",) if load.keepalive else ()), "-e", str(csv_file), url)


def run(endpoint: Endpoint, load: AbLoad, answer_bytes: int = 0) -> Tally:
    """Send a load; a run without any answer is an error.

    `answer_bytes` is the known size of one answer's body; 0: it is not known.
    Raises: Missing without `ab`; StepFailed when it cannot connect or takes too long; CannotTell
    for an incomplete report.
    """
    url = endpoint.url(load.path)
    with tempfile.TemporaryDirectory(prefix="twinstack-ab-") as directory:
        csv_file = Path(directory) / "percentiles.csv"
        words = command(url, load, csv_file)
        timeout_s = max(120.0, load.requests / 10)  # slower than ten a second is no load
        done = process.run(words, timeout_s=timeout_s, check=False)
        if done.returncode != 0 or not csv_file.exists():
            cause = reason(done.stdout, done.stderr)
            remedy = 'look at "invoke net.status" and "invoke docker.status"'
            raise StepFailed(url, f"ab exited {done.returncode}", cause, remedy)
        percentiles = csv_file.read_text(encoding="utf-8")
    return parse(done.stdout, percentiles, answer_bytes=answer_bytes)


def parse(text: str, percentiles: str, *, answer_bytes: int = 0) -> Tally:
    """Read a report and its `-e` file; a success is 2xx and whole.

    Raises: CannotTell when a line is missing.
    """
    complete, lost = _number(text, "Complete requests"), _number(text, "Failed requests")
    non_2xx = _number(text, "Non-2xx responses", default=0.0)
    body_bytes = _number(text, "HTML transferred")
    times = parse_percentiles(percentiles)
    if answer_bytes:  # the bytes say how many answers came whole; a reset counts only once then
        counters = r"\(Connect: (\d+), Receive: (\d+), Length: (\d+), Exceptions: (\d+)\)"
        parts = re.search(counters, text)
        failures = max(map(float, parts.groups())) if parts else lost
        lost = max(failures, _missing_answers(complete - non_2xx, body_bytes, answer_bytes))
    success = max(0, int(complete - non_2xx - lost))
    figures = {
        "complete": complete,
        "non_2xx": non_2xx,
        "lost": lost,  # requests without a whole answer
        "seconds": _number(text, "Time taken for tests"),
        "transferred_bytes": _number(text, "Total transferred"),
        "body_bytes": body_bytes,
        "mean_ms": _number(text, "Time per request"),
        **{f"p{percent}_ms": times.get(percent, math.nan) for percent in (50, 95, 99)},
    }
    return Tally(success, int(complete) - success, figures)


def reason(stdout: str, stderr: str) -> str:
    """Say why a run ended early, and how far it came."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    reached = re.search(r"Total of (\d+) requests completed", stdout)
    if reached:
        lines.append(f"{reached[1]} requests were complete")
    return ", ".join(lines)[-300:] or "it printed nothing"


def parse_percentiles(text: str) -> dict[int, float]:
    """Read `ab -e`: a percentage and milliseconds a line. Units: ms."""
    rows = re.findall(r"^(\d+),([\d.]+)$", text, re.MULTILINE)
    times = {int(percent): float(ms) for percent, ms in rows}
    if not times:
        raise CannotTell("ab's percentiles", "cannot be read", "no line of figures", "run it again")
    return times


def _missing_answers(answered: float, body_bytes: float, answer_bytes: int) -> float:
    """Count the answers without their bytes: less than half an answer is variation."""
    short = answered * answer_bytes - body_bytes
    return max(0, min(answered, math.floor(short / answer_bytes + 0.5)))


def _number(text: str, label: str, default: float | None = None) -> float:
    match = re.search(rf"^{re.escape(label)}:\s+([\d.]+)", text, re.MULTILINE)
    if match:
        return float(match[1])
    if default is not None:
        return default
    cause = " ".join(text.split())[-200:] or "it is empty"
    raise CannotTell("ab's report", f"has no line {label!r}", cause, "run it again")
