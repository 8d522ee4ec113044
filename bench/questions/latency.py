"""How long does a request take, and up to which rate does p99 stay below a bound?

Both worlds get the same requests at the same moments in an open loop (see `bench.load.open_loop`):
at 25, 50 and 75 % of what the slower one can carry, in windows of two seconds, forth and back. Then
the rate is sought at which half of a world's windows have their p99 below the bound. Where the
generator itself was late no figure is given: it would be the generator's, not the server's.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from bench.engine import gate, latency, worlds
from bench.engine.latency import LEAST_WINDOWS, WANTED, Quantiles, RateTrial
from bench.engine.loads import by_wrk
from bench.engine.show import columns, wrap, written
from bench.engine.store import Outcome
from bench.load import open_loop
from bench.load.open_loop import CONNECTIONS, OpenLoad, OpenReport
from twinstack.errors import CannotTell, TwinstackError
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.statistics.estimate import Interval

PATH, PARTS, WINDOW_S = "/api/products", (0.25, 0.5, 0.75), 2.0
#: A generator that is later than this in one request of a hundred makes latencies of its own.
MOST_LAG_US = 1_000
_CAPACITY_S, _CLIENTS = 4, 20
_LEAST_S, _MOST_S, _MOST_BOUND_MS = 16, 600, 10_000
_ROUNDS = 5  # of a deployment
#: Where the search starts, and between which parts of the capacity it stays.
_START, _LOWEST, _HIGHEST = 0.6, 0.02, 1.5

Send = Callable[[OpenLoad], OpenReport]
Arm = tuple[str, float]  # a world, and requests per second


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """Some seconds of an open loop. Units: requests per second."""

    world: str
    rate: float
    report: OpenReport

    @property
    def lag_us(self) -> float:
        return latency.quantile(self.report.lag_us, 0.99)

    def kept(self) -> dict[str, object]:
        """Give what a result keeps: any reader of HDR histograms reads its latencies (µs)."""
        histogram = open_loop.encoded(self.report.answered_us)
        shown = {"world": self.world, "rate": self.rate, "lag_p99_us": self.lag_us}
        return {**shown, "failed": self.report.failed, "histogram": histogram}


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """One world at one rate. Units: as named, rates in requests per second."""

    world: str
    rate: float
    requests: int
    failed: int
    lag_p99_us: float
    client_us: float  # the generator's CPU time for each request
    quantiles_us: Mapping[str, Interval | None]  # without any where the generator was late
    over_first: Mapping[str, Interval | None]  # as ratios to the first world's at this rate


@dataclass(frozen=True, slots=True)
class HighestRate:
    """The rate at which half of a world's windows keep the bound. Units: requests per second."""

    world: str
    rate: Interval | None
    why: str  # where there is none
    trials: tuple[RateTrial, ...]


@dataclass(frozen=True, slots=True)
class Latencies:
    """The result."""

    capacity: Mapping[str, float]  # of each world in a closed loop, requests per second
    bound_ms: float
    seed: int
    rows: tuple[LatencyRow, ...]
    highest: tuple[HighestRate, ...]
    stopped: str = ""  # why it ended early

    @property
    def late(self) -> list[LatencyRow]:
        """Give the rows that say nothing of the server."""
        return [row for row in self.rows if row.lag_p99_us > MOST_LAG_US]


def ask(
    stack: Stack,
    *,
    world: str = "both",
    seconds: int = 30,
    bound_ms: int = 25,
    shape: str | None = None,
    allow: Sequence[str] = (),
    progress: Progress,
) -> Outcome:
    """Measure the latency of one world, or of both; brings up what is not up.

    Units: seconds of each world at each rate. Raises: as `gate.require`; Missing without
    wrk; CannotTell when the generator was always late; StepFailed.
    """
    bounds.within("seconds", seconds, _LEAST_S, _MOST_S, "an interval needs eight windows")
    bounds.within("bound-ms", bound_ms, 1, _MOST_BOUND_MS)
    chosen = worlds.asked(stack, world, shape, progress)
    with worlds.lifted(chosen):
        alike = gate.require(chosen, worlds.EDGE, PATH, allow, progress)
        edges = {str(each.name): each.endpoint(worlds.EDGE) for each in chosen}
        send = {name: partial(open_loop.run, edge) for name, edge in edges.items()}

        def deploy() -> dict[str, float]:
            worlds.restart(chosen, progress)
            carried = {}
            for name, edge in edges.items():
                tally = by_wrk(edge.url(PATH), _CLIENTS, _CAPACITY_S)()
                carried[name] = tally.done / tally.figures["seconds"]
                progress(f"{name}: {carried[name]:,.0f}/s in a closed loop of {_CLIENTS}")
            return carried

        rounds = round(seconds / WINDOW_S)
        result, windows = measure(send, deploy, rounds, bound_ms, progress)
        changed = gate.unchanged(alike, chosen)
    text = "\n\n".join(filter(None, [table(result), wrap(*changed), *alike.listed()]))
    kept = [window.kept() for window in windows]
    fields = {"said": text.splitlines(), "result": asdict(result), "windows": kept}
    fields |= {"alike_but_for": list(alike.stated), "fingerprint": alike.digests}
    code = 1 if result.stopped or result.late or any(row.failed for row in result.rows) else 0
    stem = "latency" if world == "both" else f"latency-{world}"
    return Outcome(stem, chosen[0].plan, result, text, code, alike.allowed, fields, alike.software)


def measure(
    send: Mapping[str, Send],
    deploy: Callable[[], Mapping[str, float]],
    rounds: int,
    bound_ms: float,
    progress: Progress,
) -> tuple[Latencies, list[OpenWindow]]:
    """Measure the rates, then seek the highest. Ctrl-C or a failure keeps what is there.

    `deploy` starts the services again and gives what each world carries then: a lasting difference
    is drawn with each start, so no result is of one alone. Raises: as `ask`.
    """
    capacity = deploy()
    seed, least = secrets.randbits(32), min(capacity.values())
    rng = random.Random(seed)
    arms = [(world, part * least) for part in PARTS for world in send]
    trials: dict[str, list[RateTrial]] = {world: [] for world in send}
    order, windows, stopped = arms, [], ""

    def window(world: str, rate: float, draw: int) -> OpenWindow:
        return OpenWindow(world, rate, send[world](OpenLoad(rate, WINDOW_S, PATH, seed=draw)))

    try:
        for number in range(rounds):
            if number and number % _ROUNDS == 0:
                deploy()
            order = order[::-1] if number % 2 else rng.sample(arms, len(arms))
            draw = rng.getrandbits(32)  # the same moments in every world
            for world, rate in order:
                windows.append(window(world, rate, draw))
            progress(f"round {number + 1}/{rounds}")
        for number in range(rounds):
            draw = rng.getrandbits(32)
            for world in list(send)[:: -1 if number % 2 else 1]:
                rate = latency.next_rate(trials[world], _START * least)
                rate = min(max(rate, _LOWEST * least), _HIGHEST * least)
                windows.append(window(world, rate, draw))
                if windows[-1].lag_us <= MOST_LAG_US:  # else it is not the server that was late
                    kept = latency.keeps(windows[-1].report.latency_us, 0.99, bound_ms * 1e3)
                    trials[world].append(RateTrial(rate, kept))
            tried = (f"{world} {own[-1].rate:,.0f}" for world, own in trials.items() if own)
            progress(f"search {number + 1}/{rounds}: {', '.join(tried)}")
    except (KeyboardInterrupt, TwinstackError) as error:
        stopped = str(error) or "Ctrl-C"
        if len(windows) < LEAST_WINDOWS * len(arms):
            raise
    complete = min(len(windows) // len(arms), rounds) * len(arms)
    rows = tuple(summarise(arms, windows[:complete], seed))
    highest = tuple(_highest(world, trials[world], rounds) for world in send)
    return Latencies(capacity, bound_ms, seed, rows, highest, stopped), windows


def summarise(arms: Sequence[Arm], windows: Sequence[OpenWindow], seed: int) -> list[LatencyRow]:
    """Turn the windows of each arm, in the order of their rounds, into rows; pure.

    Raises: CannotTell when the generator was late in every one.
    """
    rows: list[LatencyRow] = []
    first: dict[float, Quantiles] = {}
    for world, rate in arms:
        own = [window.report for window in windows if (window.world, window.rate) == (world, rate)]
        lag_us = latency.quantile([lag for report in own for lag in report.lag_us], 0.99)
        drawn = latency.quantiles([report.answered_us for report in own], seed=seed)
        reference = first.setdefault(rate, drawn)
        parts = () if lag_us > MOST_LAG_US else WANTED
        over = () if reference is drawn else parts
        rows.append(
            LatencyRow(
                world,
                rate,
                requests=sum(len(report.latency_us) for report in own),
                failed=sum(report.failed for report in own),
                lag_p99_us=lag_us,
                client_us=sum(report.cpu_us_per_request for report in own) / len(own),
                quantiles_us={_named(part): drawn.span(part) for part in parts},
                over_first={_named(part): drawn.over(reference, part) for part in over},
            )
        )
    if all(row.lag_p99_us > MOST_LAG_US for row in rows):
        lag_ms = min(row.lag_p99_us for row in rows) / 1e3
        cause = f"the load generator itself was late (p99 {lag_ms:.1f} ms at the best rate)"
        raise CannotTell("latency", "cannot be measured", cause, "free a core and measure again")
    return rows


def _highest(world: str, trials: Sequence[RateTrial], rounds: int) -> HighestRate:
    if len(trials) <= rounds / 2:
        return HighestRate(world, None, "too few windows without lag", tuple(trials))
    try:
        return HighestRate(world, latency.highest_rate(trials), "", tuple(trials))
    except CannotTell as error:
        return HighestRate(world, None, f"{error.cause}; {error.remedy}", tuple(trials))


def _named(part: float) -> str:
    return f"p{part * 100:g}"


def table(result: Latencies) -> str:
    """Draw the result."""
    names = [_named(part) for part in WANTED]
    head = ["at", "world", *(f"{name} ms [95 %]" for name in names), "failed"]
    rows, ratios = [], []
    for row in result.rows:
        shown = [_cell(row.quantiles_us.get(name)) for name in names]
        rows.append([f"{row.rate:,.0f}/s", row.world, *shown, str(row.failed)])
        if row.over_first:
            ratios.append([f"{row.rate:,.0f}/s", *map(_change, row.over_first.values())])
    parts = [columns(head, rows, rule=True)]
    if ratios:
        first, second = result.capacity
        parts.append(columns([f"{second} over {first}", *names], ratios, rule=True))
    return "\n\n".join([*parts, wrap(*_sentences(result))])


def _cell(span: Interval | None) -> str:
    if span is None:
        return "–"
    ends = [end / 1e3 for end in (span.estimate, span.low, span.high)]
    return "{} [{}, {}]".format(*(f"{end:.{2 if end < 10 else 0}f}" for end in ends))


def _change(ratio: Interval | None) -> str:
    """Write a ratio as a change: +12 % [+3, +22]."""
    return " % ".join(written(ratio.through(lambda of: (of - 1) * 100), "+.0f")) if ratio else "–"


def _sentences(result: Latencies) -> list[str]:
    capacity = ", ".join(f"{world} {rate:,.0f}" for world, rate in result.capacity.items())
    lag_us = max(row.lag_p99_us for row in result.rows)
    client_us = sum(row.client_us for row in result.rows) / len(result.rows)
    first = (
        f"Open loop, {PATH}, Poisson arrivals, {CONNECTIONS} kept connections, windows of "
        f"{WINDOW_S:g} s, services restarted after every {_ROUNDS}, seed {result.seed}; latency "
        "from the intended moment, waiting for a connection included. Capacity in a closed loop "
        f"of {_CLIENTS}: {capacity} requests per second. The generator spent {client_us:.0f} µs of "
        f"CPU a request on the same cores; its own lag: p99 at most {lag_us / 1e3:.2f} ms. "
        f"–: cannot tell (too few requests, or lag above {MOST_LAG_US / 1e3:g} ms)."
    )
    sentences = [f"Ended early ({result.stopped})."] if result.stopped else []
    sentences.append(first)
    for highest in result.highest:
        what = f"{highest.world}: p99 below {result.bound_ms:g} ms"
        if highest.rate:
            rate = " ".join(written(highest.rate, ",.0f"))
            sentences.append(f"{what} up to {rate} requests per second (95 %).")
        else:
            sentences.append(f"{what}: cannot tell up to which rate: {highest.why}.")
    return sentences
