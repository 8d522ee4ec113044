"""Which cause makes the difference? What each known cause shows, and which is named first.

A cause is known by a counter that it alone moves: quotas by waiting, a proxy by its CPU time, lost
connections by those opened per request. Where several have moved, toggles decide: with which one
taken away, alone, are both arms alike again? Source: proc(5): /proc/PID/io.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench.engine import worlds
from bench.engine.arm import RATE, SERVICES, Arm, Contrast, Quantity, Window
from bench.engine.measured import Measured
from bench.engine.show import columns, figure
from bench.load import Tally
from bench.questions import causes
from bench.questions.causes import PlantedWorld, saved_rules
from twinstack.errors import CannotTell
from twinstack.linux.counters import snmp
from twinstack.observe.redis import command_calls

_REST_S = 2.0
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
    Symptom(causes.QUOTA, "quota waits, a part of the time", lambda window: window.quota, 0.03),
    Symptom(causes.PROXY, "µs in docker-proxy", lambda window: window.part("docker-proxy"), 5.0),
    Symptom(causes.REPLICA, "replicas that do not run", _figure("missing"), 0.5),
    Symptom(causes.KEEPALIVE, "connections opened inside", _figure("opened"), 0.2),
    # A name that is asked for each time leads to a new connection each time.
    Symptom(causes.DNS, "datagrams", _figure("datagrams"), 0.2, causes.KEEPALIVE),
    Symptom(causes.RULES, "iptables rules", _figure("rules"), 500.0),
    Symptom(causes.LOG, "lines that nginx waits to write", _figure("waited_lines"), 0.3),
    Symptom(causes.COLD, "fills of the cache", _figure("fills"), 0.003),
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
    names = [each.cause for each in found]
    return tuple(sorted(names, key=lambda cause: left.get(cause, math.inf)))


def table(found: Sequence[SymptomFound], contrast: Contrast) -> str:
    """Draw what shows."""
    if not found:
        return "None of the known causes shows in the counters."
    rows = [
        [each.cause, each.symptom.noun, figure(each.first), figure(each.second)] for each in found
    ]
    head = ["cause that shows", "by, per request", contrast.first, contrast.second]
    return columns(head, rows, rule=True)


def counting(place: PlantedWorld) -> Callable[[Arm], Arm]:
    """Give what adds counters per request to an arm's figures, less what they count at rest.

    They are read around the window, not in it: asking an engine costs its CPU time.
    Raises: CannotTell when a replica's are gone.
    """
    before = _counters(place)
    time.sleep(_REST_S)
    after = _counters(place)
    rest = {name: (after[name] - before[name]) / _REST_S for name in after}
    expected = len(place.world.plan.replicas)

    def counted(arm: Arm) -> Arm:
        figures: dict[str, float] = {}  # those of the window, which are complete at its end

        def load() -> Tally:
            tally = arm.load()
            figures.update(tally.figures, done=max(tally.done, 1))
            return Tally(tally.done, tally.failed, figures)

        @contextmanager
        def during() -> Iterator[Mapping[int, str] | None]:
            nonlocal figures
            with arm.during() as parts:
                figures = {}
                before, used_us, start_s = _counters(place), place.world.cpu_us(), time.monotonic()
                yield parts
                seconds, now_us = time.monotonic() - start_s, place.world.cpu_us()
                for name, count in _counters(place).items():
                    beyond = count - before[name] - rest[name] * seconds
                    figures[name] = beyond / figures.get("done", 1)
                figures["rules"] = saved_rules().count("\n-A ")
                figures["missing"] = expected - len(place.world.main_pids())
                used = {of: now_us[of] - us for of, us in used_us.items()}
                place.used_cores = {of: us / seconds / 1e6 for of, us in used.items()}

        return replace(arm, load=load, during=during)

    return counted


def _counters(place: PlantedWorld) -> dict[str, float]:
    """Read counters that only grow, in every replica's own network."""
    counters = dict.fromkeys(("opened", "datagrams", "waited_lines"), 0.0)
    try:
        for replica, pid in place.world.main_pids().items():
            kinds = snmp(pid)
            if replica != worlds.EDGE:  # those are its clients'
                counters["opened"] += kinds["Tcp", "PassiveOpens"]
            counters["datagrams"] += kinds["Udp", "OutDatagrams"]
        for pid in place.workers():
            with suppress(OSError):  # in a container, a health probe that has just ended
                io = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
                counters["waited_lines"] += int(io.split("syscw:")[1].split()[0])
    except OSError as error:
        raise CannotTell("a replica", "has no counters", str(error), "measure again") from error
    redis, network = place.world.endpoint("redis-cache"), place.redis_network
    calls = command_calls(redis, place.redis_password, network)
    return {**counters, "fills": float(calls.get("set", 0))}
