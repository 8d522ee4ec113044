"""The comparison as a terminal shows it, and as it is kept; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from bench.engine.comparability import Comparability
from bench.engine.comparison import Contrast, TargetRow
from bench.engine.estimate import Ratio, spread
from bench.engine.meter import Rest
from bench.engine.show import columns, extremes, milliseconds, part, wrap
from bench.engine.trials import Sample
from bench.load.ab import AbLoad

#: At rest, more of the machine's CPU time than this spent by neither world is worth a warning.
BUSY_PART = 0.25
#: A world that spends this much more than twice the busiest one's rest is being used.
IDLE_SLACK_MS = 20.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that one comparison measured, with what is needed to repeat it."""

    load: AbLoad
    rounds: int
    seed: int
    alike: Comparability | None  # None: a world was compared with itself
    rest: Rest
    samples: tuple[Sample, ...]
    rows: tuple[TargetRow, ...]
    contrasts: tuple[Contrast, ...]
    policy: bool  # whether the worlds enforced their flows
    cores: int

    @property
    def succeeded(self) -> bool:
        """Tell whether every request of every trial got a whole 2xx answer."""
        return all(row.success_part == 1.0 for row in self.rows)


def text(compared: Comparison) -> str:
    """Write the whole report."""
    load = compared.load
    connections = "keep-alive" if load.keepalive else "a connection each"
    asked = f"{load.requests} requests, {load.concurrency} at once, {connections}, {load.path}"
    contrasts = wrap(*(contrast.sentence for contrast in compared.contrasts))
    parts = [
        wrap(f"{asked}, {compared.rounds} rounds, seed {compared.seed}"),
        "" if compared.succeeded else "Some requests FAILED: rates count successes only.",
        table(compared.rows),
        wrap(legend(compared.rows)),
        contrasts,
        *map(wrap, _notes(compared)),
        *(compared.alike.listed() if compared.alike else [wrap(calibration(compared))]),
    ]
    return "\n\n".join(filter(None, parts))


def table(rows: Sequence[TargetRow]) -> str:
    """Draw a row for each target."""
    head = ["", "req/s", "(min–max)", "mean", "p50", "p99", "ok", "MB/s", "CPU µs", "host"]
    cells = [
        [
            row.name,
            f"{row.rate.median:.0f}",
            extremes(row.rate),
            *map(milliseconds, (row.mean_ms, row.p50_ms, row.p99_ms)),
            part(row.success_part),
            f"{row.transfer_bytes_per_s / 1e6:.1f}",
            f"{row.cpu_us_per_request:.0f}",
            f"{row.host_us_per_request:.0f}",
        ]
        for row in rows
    ]
    return columns(head, cells, rule=True)


def legend(rows: Sequence[TargetRow]) -> str:
    """Explain the table's columns and rows."""
    entries = "; ".join(f"{row.name} = {row.entry}, {row.trials} trials" for row in rows)
    return (
        f"Medians over trials; times in ms; CPU µs: per request, all replicas of the world; "
        f"host: the whole machine, load generator left out. {entries}."
    )


def calibration(compared: Comparison) -> str:
    """Say what the comparison of a world with itself says of the method."""
    contrast = compared.contrasts[0]
    if contrast.ratio is None:
        return f"Calibration: {contrast.sentence}"
    if not contrast.ratio.undecided:
        return (
            f"Calibration FAILED: a world differs from itself by "
            f"{abs(contrast.ratio.estimate - 1):.1%}; the machine is too noisy, or chance had it "
            f"(1 run of 20): repeat, with more rounds."
        )
    smallest = max(abs(end - 1) * 100 for end in (contrast.ratio.low, contrast.ratio.high))
    return (
        f"Calibration: a world compared with itself shows no difference; differences below "
        f"about {smallest:.1f} % cannot be seen in this setting."
    )


def _notes(compared: Comparison) -> Iterator[str]:
    """Say what was spent at rest, by the other world and by others; and whether policies held."""
    rest = compared.rest
    parts = "; ".join(
        f"{row.name} {row.cpu_us_per_request - row.work_us_per_request:.0f} of "
        f"{row.cpu_us_per_request:.0f} µs"
        for row in compared.rows[:2]
    )
    yield f"{rest.sentence} That is, of the CPU time of a request: {parts}."
    if len(rest.cpu_us_per_s) == 2:
        spent = spread([trial.others_cpu_us / trial.window_s / 1e3 for trial in compared.samples])
        allowed_ms = 2 * max(rest.cpu_us_per_s.values()) / 1e3 + IDLE_SLACK_MS
        idle = "idle" if spent.median <= allowed_ms else "NOT idle: another client loads it"
        other = f"the other spent {spent.median:.1f} ms of CPU a second: {idle}."
        yield f"While one world was loaded, {other}"
        yield (
            "Both worlds were up throughout, the other one idle: Docker's health probes ran also "
            "while the namespaces were loaded. They slow both, and host counts them in both: its "
            "figures are higher, and its ratio as a rule nearer to 1, than with one world up. CPU "
            "µs counts the loaded world's own only."
        )
    busy = (rest.host_us_per_s - sum(rest.cpu_us_per_s.values())) / (compared.cores * 1e6)
    if busy > BUSY_PART:
        yield (
            f"This machine was BUSY: before any load, {busy:.0%} of its CPU time went to neither "
            "world. Intervals are wide and the host's column counts other work; measure on a quiet "
            "machine."
        )
    policy = "flows enforced" if compared.policy else "off"
    yield f"Policy: {policy}; the edge's limit of new connections was lifted meanwhile."


def fields(compared: Comparison) -> dict[str, object]:
    """Give the fields of the JSON document. Its keys are relied upon."""
    return {
        "load": {**asdict(compared.load), "timeout_s": compared.load.timeout_s},
        "rounds": compared.rounds,
        "seed": compared.seed,
        "alike_but_for": list(compared.alike.sentences("stated")) if compared.alike else [],
        "rest": asdict(compared.rest),
        "rows": [asdict(row) for row in compared.rows],
        "contrasts": [
            {
                "quantity": contrast.quantity,
                "first": contrast.first,
                "second": contrast.second,
                **_ratio(contrast.ratio),
                "sentence": contrast.sentence,
            }
            for contrast in compared.contrasts
        ],
        "succeeded": compared.succeeded,
        "samples": [asdict(sample) for sample in compared.samples],
    }


def _ratio(ratio: Ratio | None) -> dict[str, object]:
    if ratio is None:
        return {"ratio": None, "low": None, "high": None, "level": None, "verdict": "cannot tell"}
    return {
        "ratio": ratio.estimate,
        "low": ratio.low,
        "high": ratio.high,
        "level": ratio.level,
        "verdict": ratio.verdict,
    }
