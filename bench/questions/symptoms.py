"""Which cause makes the difference? What each known cause shows, and which is named first; pure.

A cause is known by a counter that it alone moves: quotas by waiting, a proxy by its CPU time, lost
connections by those opened per request. Where several have moved, toggles decide: with which one
taken away, alone, are both arms alike again?
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.engine.arm import SERVICES, Contrast, Window
from bench.engine.result import Measured
from bench.engine.show import columns, figure, signed

QUOTA, PROXY, REPLICA = "halved quota", "proxy entry", "one replica less"
KEEPALIVE, DNS = "no upstream keep-alive", "DNS per call"
RULES, LOG, COLD = "extra iptables rules", "synchronous log", "cold cache"


@dataclass(frozen=True, slots=True)
class Symptom:
    """What a cause shows in a window's counters."""

    cause: str
    noun: str
    of: Callable[[Window], float]
    telling: float  # a difference of as much is the cause's
    brings: frozenset[str] = frozenset()  # causes that show too where this one is at work


def _figure(window: Window, name: str) -> float:
    return window.figures.get(name, 0.0)


def _counted(cause: str, noun: str, name: str, telling: float, *brings: str) -> Symptom:
    return Symptom(cause, noun, partial(_figure, name=name), telling, frozenset(brings))


SYMPTOMS = (
    Symptom(QUOTA, "quota waits, a part of the time", lambda window: window.quota, 0.03),
    Symptom(PROXY, "µs in docker-proxy", lambda window: window.part("docker-proxy"), 5.0),
    _counted(REPLICA, "replicas that do not run", "missing", 0.5),
    _counted(KEEPALIVE, "connections opened inside", "opened", 0.2),
    # A name that is asked for each time leads to a new connection each time.
    _counted(DNS, "datagrams", "datagrams", 0.2, KEEPALIVE),
    _counted(RULES, "iptables rules", "rules", 500.0),
    _counted(LOG, "lines that nginx waits to write", "waited_lines", 0.3),
    _counted(COLD, "fills of the cache", "fills", 0.003),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause that shows in the first arm and not in the second."""

    symptom: Symptom
    first: float
    second: float

    @property
    def cause(self) -> str:
        return self.symptom.cause


def findings(measured: Measured, contrast: Contrast) -> tuple[Finding, ...]:
    """Give the causes that show, those left out that another brings with it."""
    found = [
        Finding(symptom, *(_median(measured, arm, symptom) for arm in _names(contrast)))
        for symptom in SYMPTOMS
    ]
    telling = [each for each in found if each.first - each.second >= each.symptom.telling]
    brought = frozenset[str]().union(*(each.symptom.brings for each in telling))
    return tuple(each for each in telling if each.cause not in brought)


def _names(contrast: Contrast) -> tuple[str, str]:
    return contrast.first, contrast.second


def _median(measured: Measured, arm: str, symptom: Symptom) -> float:
    return statistics.median(map(symptom.of, measured.arms[arm]))


def unlike(windows: Sequence[Window], others: Sequence[Window]) -> float:
    """Give how far two arms are apart in rate and in the services' CPU time together, as logs."""
    return sum(
        abs(math.log(statistics.median(map(of, windows)) / statistics.median(map(of, others))))
        for of in (lambda window: window.rate, services_us)
    )


def services_us(window: Window) -> float:
    """Give the services' CPU time per request, rest included: never negative. Units: µs."""
    return window.parts_us[SERVICES] / window.done


def named(found: Iterable[Finding], left: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """List the causes, the one named first first.

    `left`: how unlike the arms are without each (see `unlike`); a cause with which less is left
    comes before.
    """
    causes = [each.cause for each in found]
    return tuple(sorted(causes, key=lambda cause: (left or {}).get(cause, math.inf)))


def table(found: Sequence[Finding], contrast: Contrast, left: Mapping[str, float]) -> str:
    """Draw what shows, and what taking each cause away has left of the difference."""
    if not found:
        return "None of the known causes shows in the counters."
    cells = {cause: f"{part:.0%}" for cause, part in left.items()}
    rows = [
        [
            each.cause,
            each.symptom.noun,
            figure(each.first),
            figure(each.second),
            signed(each.first - each.second, 2),
            cells.get(each.cause, ""),
        ]
        for each in found
    ]
    head = ["cause", "seen by, per request", contrast.first, contrast.second, "more", "left"]
    return columns(head, rows, rule=True)
