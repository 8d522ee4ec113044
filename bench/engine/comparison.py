"""From samples to rows, ratios and plain sentences; pure.

The interval decides (`estimate.Ratio`). The sentence says what it allows, no more: which world
answered more requests a second and by how much, or that no difference could be measured, and how
small a one would have been.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.engine.estimate import Distribution, Ratio, grouped, median, paired, spread
from bench.engine.show import signed
from bench.engine.trials import Sample
from twinstack.errors import CannotTell


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One line of the table: medians over the trials. Units: as named, `rate` per second."""

    name: str
    entry: str
    trials: int
    rate: Distribution
    mean_ms: float
    p50_ms: float
    p99_ms: float
    success_part: float
    transfer_bytes_per_s: float
    cpu_us_per_request: float
    work_us_per_request: float
    host_us_per_request: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """A quantity's ratio between two rows, or why there is none."""

    quantity: str
    first: str
    second: str
    ratio: Ratio | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """What can be compared, and how it is compared."""

    attribute: str  # of a sample
    noun: str
    phrase: str  # with a place for "3.1 % more"
    less: str = "less"


QUANTITIES = {
    "rate": Quantity(
        "rate", "requests per second", "answered {} requests per second than", "fewer"
    ),
    "cpu": Quantity(
        "cpu_us_per_request",
        "CPU time per request in the services",
        "spent {} CPU time per request in its services than",
    ),
    "work": Quantity(
        "work_us_per_request",
        "CPU time per request beyond what each spends at rest",
        "spent, beyond what each spends at rest, {} CPU time per request than",
    ),
    "host": Quantity(
        "host_us_per_request",
        "CPU time per request on the whole host",
        "took {} CPU time per request on the whole host than",
    ),
}


def rows(samples: Sequence[Sample], entries: Mapping[str, str]) -> tuple[TargetRow, ...]:
    """Summarise each target, in the order of `entries` (name → address)."""
    targets = grouped(samples, lambda sample: sample.target)
    return tuple(_row(name, entry, targets[name]) for name, entry in entries.items())


def _row(name: str, entry: str, trials: Sequence[Sample]) -> TargetRow:
    complete = sum(sample.complete for sample in trials)
    return TargetRow(
        name=name,
        entry=entry,
        trials=len(trials),
        rate=spread([sample.rate for sample in trials]),
        mean_ms=median(trials, "mean_ms"),
        p50_ms=median(trials, "p50_ms"),
        p99_ms=median(trials, "p99_ms"),
        success_part=sum(sample.success for sample in trials) / complete if complete else 0.0,
        transfer_bytes_per_s=median(trials, "transferred_bytes_per_s"),
        cpu_us_per_request=median(trials, "cpu_us_per_request"),
        work_us_per_request=median(trials, "work_us_per_request"),
        host_us_per_request=median(trials, "host_us_per_request"),
    )


def contrast(
    samples: Sequence[Sample], quantity: str, first: str, second: str, *, seed: int
) -> Contrast:
    """Compare two targets in one quantity, paired by round."""
    compared = QUANTITIES[quantity]
    targets = grouped(samples, lambda sample: sample.target)
    firsts, seconds = (targets.get(name, []) for name in (first, second))
    try:
        ratio = paired(firsts, seconds, compared.attribute, seed=seed)
    except CannotTell as error:
        sentence = f"Cannot tell the {compared.noun} apart: {error}."
        return Contrast(quantity, first, second, None, sentence)
    return Contrast(quantity, first, second, ratio, _sentence(ratio, first, second, compared))


def _sentence(ratio: Ratio, first: str, second: str, quantity: Quantity) -> str:
    """Say a ratio in words.

    "Namespaces answered 3.1 % more requests per second than docker (95 % interval 1.2 % to
    5.0 %)." or "No measurable difference in …".
    """
    level = f"{ratio.level:.0%}".replace("%", " %")
    if ratio.undecided:
        ends = (f"{signed((end - 1) * 100, 1)} %" for end in (ratio.low, ratio.high))
        return (
            f"No measurable difference in {quantity.noun} between {first} and {second} "
            f"({level} interval {' to '.join(ends)})."
        )
    more = ratio.low > 1
    low, high = (ratio.low, ratio.high) if more else (ratio.high, ratio.low)
    much = f"{_percent(ratio.estimate)} {'more' if more else quantity.less}"
    return (
        f"{first[0].upper()}{first[1:]} {quantity.phrase.format(much)} {second} "
        f"({level} interval {_percent(low)} to {_percent(high)})."
    )


def _percent(value: float) -> str:
    return f"{abs(value - 1) * 100:.1f} %"
