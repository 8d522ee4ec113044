"""The comparison as a terminal shows it, and as it is kept; pure."""

from __future__ import annotations

from collections.abc import Sequence
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
    policy = "flows enforced" if compared.policy else "off"
    asked = f"{load.requests} requests, {load.concurrency} at once, {connections}, {load.path}"
    parts = [
        f"{asked}, {compared.rounds} rounds, seed {compared.seed}",
        "" if compared.succeeded else "Some requests FAILED: rates count successes only.",
        table(compared.rows),
        legend(compared.rows),
        wrap(*(contrast.sentence for contrast in compared.contrasts)),
        rest_sentence(compared.rest, compared.rows),
        idle_sentence(compared.samples, compared.rest),
        probes_sentence(compared.rest),
        busy_sentence(compared.rest, compared.cores),
        wrap(f"Policy: {policy}; the edge's limit of new connections was lifted meanwhile."),
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
    return wrap(
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


def rest_sentence(rest: Rest, rows: Sequence[TargetRow]) -> str:
    """Say what was spent at rest, and how much of a request's CPU time that was."""
    own = ", ".join(f"{name} {us / 1000:.1f} ms" for name, us in sorted(rest.cpu_us_per_s.items()))
    parts = "; ".join(
        f"{row.name} {row.cpu_us_per_request - row.work_us_per_request:.0f} of "
        f"{row.cpu_us_per_request:.0f} µs"
        for row in rows[:2]
    )
    return wrap(
        f"CPU time per second at rest (health probes, leases, timers): {own}; the whole host "
        f"{rest.host_us_per_s / 1000:.1f} ms. That is, of the CPU time of a request: {parts}."
    )


def idle_sentence(samples: Sequence[Sample], rest: Rest) -> str:
    """Say whether the other world was idle while one was loaded; empty where there is one."""
    if len(rest.cpu_us_per_s) < 2 or not samples:
        return ""
    spent = spread([sample.others_cpu_us / sample.window_s / 1e3 for sample in samples])
    allowed_ms = 2 * max(rest.cpu_us_per_s.values()) / 1e3 + IDLE_SLACK_MS
    verdict = "idle" if spent.median <= allowed_ms else "NOT idle: another client loads it"
    return wrap(
        f"While one world was loaded, the other spent {spent.median:.1f} ms of CPU a second: "
        f"{verdict}."
    )


def probes_sentence(rest: Rest) -> str:
    """Say what the other world's probes do to the figures; empty for a world with itself."""
    if len(rest.cpu_us_per_s) < 2:
        return ""
    return wrap(
        "Both worlds were up throughout, the other one idle: Docker's health probes ran also "
        "while the namespaces were loaded. They slow both, and host counts them in both: its "
        "figures are higher, and its ratio as a rule nearer to 1, than with one world up. CPU µs "
        "counts the loaded world's own only."
    )


def busy_sentence(rest: Rest, cores: int) -> str:
    """Warn of a machine that does other work; empty when it is quiet."""
    others = rest.host_us_per_s - sum(rest.cpu_us_per_s.values())
    busy = others / (cores * 1e6)
    if busy <= BUSY_PART:
        return ""
    return wrap(
        f"This machine was BUSY: before any load, {busy:.0%} of its CPU time went to neither "
        f"world. Intervals are wide and the host's column counts other work; measure on a quiet "
        f"machine."
    )


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
