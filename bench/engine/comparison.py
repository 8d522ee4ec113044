"""From samples to rows, ratios and plain sentences; pure.

The sentence says what the interval allows, no more: which world answered more requests a second
and by how much, or that no difference could be measured, and how small a one would have been.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.engine.estimate import Ratio, Spread, ratio, spread
from bench.engine.trials import Sample
from twinstack.errors import CannotTell


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Units: as named; medians over the trials, `rate` per second."""

    name: str
    entry: str
    trials: int
    rate: Spread
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
    """One question answered: a quantity's ratio between two rows, or why there is none."""

    quantity: str
    first: str
    second: str
    ratio: Ratio | None
    sentence: str


def rows(samples: Sequence[Sample], entries: dict[str, str]) -> tuple[Row, ...]:
    """Summarise each target, in the order of `entries` (name → address)."""
    found = []
    for name, entry in entries.items():
        own = [sample for sample in samples if sample.target == name]
        complete = sum(sample.complete for sample in own)

        def median(quantity: Callable[[Sample], float], own: list[Sample] = own) -> float:
            return statistics.median(map(quantity, own))

        found.append(
            Row(
                name=name,
                entry=entry,
                trials=len(own),
                rate=spread([sample.rate for sample in own]),
                mean_ms=median(lambda one: one.mean_ms),
                p50_ms=median(lambda one: one.p50_ms),
                p99_ms=median(lambda one: one.p99_ms),
                success_part=sum(one.success for one in own) / complete if complete else 0.0,
                transfer_bytes_per_s=median(lambda one: one.transferred_bytes / one.seconds),
                cpu_us_per_request=median(lambda one: one.cpu_us_per_request),
                work_us_per_request=median(lambda one: one.work_us_per_request),
                host_us_per_request=median(lambda one: one.host_us_per_request),
            )
        )
    return tuple(found)


_QUANTITIES: dict[str, tuple[Callable[[Sample], float], str, str]] = {
    "rate": (lambda one: one.rate, "answered {} requests per second than", "requests per second"),
    "cpu": (
        lambda one: one.cpu_us_per_request,
        "spent {} CPU time per request in its services than",
        "CPU time per request in the services",
    ),
    "work": (
        lambda one: one.work_us_per_request,
        "spent, beyond what each spends at rest, {} CPU time per request than",
        "CPU time per request beyond what each spends at rest",
    ),
    "host": (
        lambda one: one.host_us_per_request,
        "took {} CPU time per request on the whole host than",
        "CPU time per request on the whole host",
    ),
    "p50": (lambda one: one.p50_ms, "had a {} median latency than", "median latency"),
}
_MORE_WORDS = {"p50": ("longer", "shorter")}


def contrast(
    samples: Sequence[Sample], quantity: str, first: str, second: str, *, seed: int
) -> Contrast:
    """Compare two targets in one quantity, paired by round."""
    value, phrase, noun = _QUANTITIES[quantity]
    by_round: dict[int, dict[str, float]] = {}
    for sample in samples:
        by_round.setdefault(sample.round, {})[sample.target] = value(sample)
    pairs = [
        (one[first], one[second]) for one in by_round.values() if first in one and second in one
    ]
    try:
        found = ratio([a for a, _ in pairs], [b for _, b in pairs], seed=seed)
    except CannotTell as error:
        return Contrast(quantity, first, second, None, f"Cannot tell the {noun} apart: {error}.")
    words = _MORE_WORDS.get(quantity, ("more", "less"))
    if quantity == "rate":
        words = ("more", "fewer")
    return Contrast(
        quantity, first, second, found, sentence(found, first, second, phrase, noun, words)
    )


def sentence(
    found: Ratio, first: str, second: str, phrase: str, noun: str, words: tuple[str, str]
) -> str:
    """Say a ratio in words.

    "Namespaces answered 3.1 % more requests per second than Docker (95 % interval 1.2 % to
    5.0 %)." or "No measurable difference in …".
    """
    level = f"{found.level:.0%}".replace("%", " %")
    if found.verdict == "no measurable difference":
        return (
            f"No measurable difference in {noun} between {first} and {second} "
            f"({level} interval {_signed(found.low)} to {_signed(found.high)})."
        )
    more = found.verdict == "more"
    ends = (found.low, found.high) if more else (found.high, found.low)
    much = _size(found.estimate, phrase.format(words[0] if more else words[1]))
    return (
        f"{first[0].upper()}{first[1:]} {much} {second} "
        f"({level} interval {_percent(ends[0])} to {_percent(ends[1])})."
    )


def _size(estimate: float, phrase: str) -> str:
    """Put the size in front of "more": "answered 3.1 % more requests"."""
    for word in ("more", "fewer", "less", "longer", "shorter"):
        if f" {word} " in phrase:
            return phrase.replace(f" {word} ", f" {_percent(estimate)} {word} ", 1)
    return phrase


def _percent(value: float) -> str:
    return f"{abs(value - 1) * 100:.1f} %"


def _signed(value: float) -> str:
    return f"{(value - 1) * 100:+.1f} %".replace("-", "−")
