"""What entry points into two worlds cost over each other, from windows taken in turn; pure.

An entry point is compared with its own world's edge, and Docker's edge with the namespaces'. One
is there twice: what it seems to differ from itself is the method's own error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.engine.estimate import Ratio, grouped, median, paired, spread
from bench.engine.meter import Rest
from bench.engine.show import columns, extremes, signed, wrap
from bench.engine.windows import Window
from bench.load.wrk import WrkReport

NET, AGAIN, DOCKER = "namespaces", "namespaces too", "docker"
CONCURRENCY = 20
PATH = "/api/products"


@dataclass(frozen=True, slots=True)
class Turn:
    """One window of an entry point. Units: microseconds."""

    round: int
    way: str  # the entry point
    window: Window
    rest_us: float  # CPU time that the world would have spent meanwhile at rest
    held_us: int  # how long CPU quotas kept its replicas waiting, added up

    @property
    def work_us_per_request(self) -> float:
        """Give the replicas' CPU time per request beyond what they spend at rest."""
        return (self.window.cpu_us - self.rest_us) / self.window.answered

    @property
    def held_part(self) -> float:
        """Give how long quotas kept replicas waiting, as a part of the time."""
        return self.held_us / 1e6 / self.window.seconds


#: The quantities that are compared, as attributes of a turn.
RATE, CPU = "window.rate", "window.cpu_us_per_request"
WORK, HOST = "work_us_per_request", "window.host_us_per_request"


@dataclass(frozen=True, slots=True)
class EntryCost:
    """What one entry point costs over another: ratios of the first's to the second's."""

    first: str
    second: str
    rate: Ratio
    cpu: Ratio
    work: Ratio
    host: Ratio
    host_us: float  # the second's median CPU time per request on the whole host


@dataclass(frozen=True, slots=True)
class Turns:
    """The comparison. wrk's latencies are not kept: it takes being held for slow answers."""

    entries: dict[str, str]  # the entry points' addresses
    seconds: int  # how long a window lasts
    turns: tuple[Turn, ...]
    asked: dict[str, int]  # requests by entry point
    failed: int  # requests without a 2xx or 3xx answer
    differences: tuple[EntryCost, ...]
    rest: Rest
    seed: int


def pairs(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Give which entry points are compared; pure."""
    base = {name: DOCKER if name.startswith("docker ") else NET for name in names}
    return tuple((name, base[name]) for name in names if name != NET)


def summarise(
    entries: dict[str, str],
    turns: Sequence[Turn],
    loads: Mapping[str, WrkReport],
    rest: Rest,
    *,
    seconds: int,
    seed: int,
) -> Turns:
    """Turn windows into ratios; pure. Raises: CannotTell for a window without an answer."""
    arms = grouped(turns, lambda turn: turn.way)
    costs = []
    for first, second in pairs(tuple(entries)):
        rate, cpu, work, host = (
            paired(arms[first], arms[second], quantity, seed=seed)
            for quantity in (RATE, CPU, WORK, HOST)
        )
        costs.append(EntryCost(first, second, rate, cpu, work, host, median(arms[second], HOST)))
    asked = {name: report.complete for name, report in loads.items()}
    failed = sum(report.failed for report in loads.values())
    return Turns(entries, seconds, tuple(turns), asked, failed, tuple(costs), rest, seed)


def text(result: Turns) -> str:
    """Write the result."""
    rounds = max(turn.round for turn in result.turns)
    entries = "; ".join(f"{name} = {entry}" for name, entry in result.entries.items())
    parts = [
        wrap(
            f"{CONCURRENCY} kept connections per entry point, {PATH}, {rounds} rounds of "
            f"{result.seconds} s each, seed {result.seed}"
        ),
        _table(result),
        wrap(
            f"Medians over windows; CPU µs: a request, all replicas of the world; work: the same "
            f"beyond what the world spends at rest; host: the whole machine, load generator left "
            f"out; quota: how long CPU quotas kept replicas waiting, added up, as a part of the "
            f"time. {sum(result.asked.values()):,} requests, {result.failed} failed. {entries}."
        ),
        _costs(result),
        wrap(
            f"?: inconclusive. {AGAIN}: the same entry point twice; its difference is the method's "
            "own error. CPU time per request on the whole host: "
            f"{'; '.join(map(extra, result.differences))}."
        ),
        wrap(
            f"{result.rest.sentence} It is spent whichever world is loaded, so the rates above "
            "hide it: a world alone on the machine pays for its own only."
        ),
    ]
    return "\n\n".join(parts)


def _table(result: Turns) -> str:
    arms = grouped(result.turns, lambda turn: turn.way)
    rows = []
    for name in result.entries:
        rates = spread([turn.window.rate for turn in arms[name]])
        costs = [f"{median(arms[name], quantity):.0f}" for quantity in (CPU, WORK, HOST)]
        held = f"{median(arms[name], 'held_part'):.1%}"
        rows.append([name, f"{rates.median:.0f}", extremes(rates), *costs, held])
    head = ["", "req/s", "(min–max)", "CPU µs", "work", "host", "quota"]
    return columns(head, rows, rule=True)


def _costs(result: Turns) -> str:
    """Draw what each entry point costs over another; an undecided interval has no estimate."""
    rows = []
    for base in dict.fromkeys(cost.second for cost in result.differences):
        rows.append([f"over {base}", "", "", ""])
        for cost in result.differences:
            if cost.second == base:
                cells = map(_cell, (cost.rate, cost.work, cost.host))
                rows.append([f"  {cost.first}", *cells])
    return columns(["% more [95 %]", "req/s", "work", "host"], rows, rule=True)


def _cell(ratio: Ratio) -> str:
    estimate, low, high = (
        signed((end - 1) * 100, 1) for end in (ratio.estimate, ratio.low, ratio.high)
    )
    return f"{'?' if ratio.undecided else estimate} [{low}, {high}]"


def extra(cost: EntryCost) -> str:
    """Say what an entry point costs the whole host per request, where that is decided; pure."""
    ends = (cost.host.estimate, cost.host.low, cost.host.high)
    estimate, low, high = (signed((end - 1) * cost.host_us, 0) for end in ends)
    if cost.host.undecided:
        return f"{cost.first} over {cost.second} inconclusive ({low} to {high} µs)"
    return f"{cost.first} over {cost.second} {estimate} µs ({low} to {high})"
