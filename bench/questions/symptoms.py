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

from bench.engine.arm import RATE, SERVICES, Contrast, Quantity, Window
from bench.engine.measured import Measured
from bench.engine.show import columns, figure

QUOTA, PROXY, REPLICA = "halved quota", "proxy entry", "one replica less"
KEEPALIVE, DNS = "no upstream keep-alive", "DNS per call"
RULES, LOG, COLD = "extra iptables rules", "synchronous log", "cold cache"
#: Rest included: a busy machine must not make it negative.
SERVICES_US = Quantity(
    "services", "CPU time per request in the services", lambda w: w.parts_us[SERVICES] / w.done
)


@dataclass(frozen=True, slots=True)
class Symptom:
    """What a cause shows in a window's counters."""

    cause: str
    noun: str
    of: Callable[[Window], float]
    telling: float  # a difference of as much is the cause's
    brings: str = ""  # a cause that shows too where this one is at work


def _figure(name: str) -> Callable[[Window], float]:
    return lambda window: window.figures.get(name, 0.0)


SYMPTOMS = (
    Symptom(QUOTA, "quota waits, a part of the time", lambda window: window.quota, 0.03),
    Symptom(PROXY, "µs in docker-proxy", lambda window: window.part("docker-proxy"), 5.0),
    Symptom(REPLICA, "replicas that do not run", _figure("missing"), 0.5),
    Symptom(KEEPALIVE, "connections opened inside", _figure("opened"), 0.2),
    # A name that is asked for each time leads to a new connection each time.
    Symptom(DNS, "datagrams", _figure("datagrams"), 0.2, KEEPALIVE),
    Symptom(RULES, "iptables rules", _figure("rules"), 500.0),
    Symptom(LOG, "lines that nginx waits to write", _figure("waited_lines"), 0.3),
    Symptom(COLD, "fills of the cache", _figure("fills"), 0.003),
)


@dataclass(frozen=True, slots=True)
class SymptomFound:
    """A cause that shows in the first arm and not in the second: medians over windows."""

    symptom: Symptom
    first: float
    second: float

    @property
    def cause(self) -> str:
        return self.symptom.cause


def findings(measured: Measured, contrast: Contrast) -> tuple[SymptomFound, ...]:
    """Give the causes that show, those left out that another brings with it."""
    sides = [measured.arms[arm] for arm in (contrast.first, contrast.second)]
    found = [
        SymptomFound(each, *(statistics.median(map(each.of, windows)) for windows in sides))
        for each in SYMPTOMS
    ]
    telling = [each for each in found if each.first - each.second >= each.symptom.telling]
    brought = {each.symptom.brings for each in telling}
    return tuple(each for each in telling if each.cause not in brought)


def unlike(windows: Sequence[Window], others: Sequence[Window]) -> float:
    """Give how far two arms are apart in rate and in the services' CPU time together, as logs."""
    return sum(
        abs(math.log(statistics.median(map(of, windows)) / statistics.median(map(of, others))))
        for of in (RATE.of, SERVICES_US.of)
    )


def named(found: Iterable[SymptomFound], left: Mapping[str, float]) -> tuple[str, ...]:
    """List the causes; first is named the one without which the arms are least unlike (`left`)."""
    causes = [each.cause for each in found]
    return tuple(sorted(causes, key=lambda cause: left.get(cause, math.inf)))


def table(found: Sequence[SymptomFound], contrast: Contrast) -> str:
    """Draw what shows."""
    if not found:
        return "None of the known causes shows in the counters."
    rows = [
        [each.cause, each.symptom.noun, figure(each.first), figure(each.second)] for each in found
    ]
    head = ["cause that shows", "by, per request", contrast.first, contrast.second]
    return columns(head, rows, rule=True)
