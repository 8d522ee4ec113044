"""What an experiment measures: arms, windows of them, and quantities of a window; pure.

An `Arm` is one thing that is compared: a load, and what holds while it runs. A `Window` is one row
of counters: some seconds of one arm. Every CPU figure comes from its parts, which add up: a part
means the same in every question (see `meter`), and what is spent at rest is known beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from statistics import fmean

from bench.load import Tally

#: The parts of a window's CPU time that an arm causes, in the order of the ledger. "left over" is
#: what no process that lived through the window spent: short-lived ones, and interrupts.
SERVICES, CLIENT, KERNEL, LEFT_OVER = "services", "client", "kernel threads", "left over"
ENGINE = ("dockerd", "containerd", "containerd-shim", "docker-proxy", "supervisor")
#: What a question itself runs and measures: a capture, a dashboard, a gateway.
PROGRAMS = "programs"
PARTS = (SERVICES, PROGRAMS, *ENGINE, CLIENT, KERNEL, LEFT_OVER)
#: Parts that no arm causes: other programs, the idle world, and the benchmark itself.
STRANGERS, IDLE, BENCH = "other programs", "idle world", "benchmark"
#: A window in which strangers and the hypervisor took more than this part of the machine is busy.
BUSY_PART = 0.10


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing that is compared."""

    name: str
    load: Callable[[], Tally]  # one run of it
    world: str = ""  # the replicas of this world are its services
    #: Holds around a window; gives the part of each process that the question itself runs.
    during: Callable[[], AbstractContextManager[Mapping[int, str] | None]] = nullcontext


@dataclass(frozen=True, slots=True)
class Window:
    """Some seconds of one arm. Units: microseconds of CPU of the whole window."""

    arm: str
    deployment: int  # from 1
    block: int  # from 1, over all deployments
    seconds: float
    done: int
    failed: int
    parts_us: Mapping[str, float]
    rest_us: Mapping[str, float]  # what each part would have spent meanwhile at rest
    services_us: Mapping[str, float]  # by replica, beyond what each spends at rest
    throttled_us: float = 0.0  # how long CPU quotas kept the services waiting, added up
    stolen_us: float = 0.0  # taken by the hypervisor
    work_us: float = 0.0  # CPU time of a fixed piece of work meanwhile; 0: none was done
    figures: Mapping[str, float] = field(default_factory=dict)

    def part(self, name: str) -> float:
        """Give a part's CPU time per request beyond what it spends at rest. Units: µs."""
        return (self.parts_us.get(name, 0.0) - self.rest_us.get(name, 0.0)) / self.done

    def service(self, name: str) -> float:
        """Give a service's CPU time per request beyond rest, all of its replicas'. Units: µs."""
        return sum(us for of, us in self.services_us.items() if service_of(of) == name) / self.done

    @property
    def rate(self) -> float:
        return self.done / self.seconds

    @property
    def cpu(self) -> float:
        """Give the arm's CPU time per request beyond rest: the sum of its parts. Units: µs."""
        return sum(map(self.part, PARTS))

    @property
    def quota(self) -> float:
        """Give how long quotas kept services waiting, added up, as a part of the time."""
        return self.throttled_us / 1e6 / self.seconds

    def busy(self, cores: int) -> float:
        """Give the part of the machine that strangers and the hypervisor took."""
        taken_us = self.parts_us.get(STRANGERS, 0.0) + self.stolen_us
        return taken_us / (self.seconds * cores * 1e6)


def joined(runs: Sequence[Window]) -> Window:
    """Give the window that some runs of one arm make; its figures are their means. Pure."""
    first, *more = runs
    if not more:
        return first
    return replace(
        first,
        seconds=sum(run.seconds for run in runs),
        done=sum(run.done for run in runs),
        failed=sum(run.failed for run in runs),
        parts_us=_by_name(sum, (run.parts_us for run in runs)),
        rest_us=_by_name(sum, (run.rest_us for run in runs)),
        services_us=_by_name(sum, (run.services_us for run in runs)),
        throttled_us=sum(run.throttled_us for run in runs),
        stolen_us=sum(run.stolen_us for run in runs),
        work_us=fmean([run.work_us for run in runs if run.work_us] or [0.0]),
        figures=_by_name(fmean, (run.figures for run in runs)),
    )


def _by_name(
    of: Callable[[Iterable[float]], float], runs: Iterable[Mapping[str, float]]
) -> dict[str, float]:
    """Put the values of each name together."""
    values: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.items():
            values.setdefault(name, []).append(value)
    return {name: of(own) for name, own in values.items()}


def service_of(replica: str) -> str:
    """Name a replica's service: further replicas are numbered, product-service-2."""
    return re.sub(r"-\d+$", "", replica)


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is compared, and how it is written."""

    name: str
    noun: str
    of: Callable[[Window], float]
    unit: str = ""

    @classmethod
    def figure(cls, name: str, noun: str, unit: str) -> Quantity:
        """Give a quantity that the load itself reports."""
        return cls(name, noun, lambda window: window.figures[name], unit)


RATE = Quantity("rate", "requests per second", lambda window: window.rate, "/s")
CPU = Quantity("cpu", "CPU time per request", lambda window: window.cpu, "µs")
SERVICES_CPU = Quantity(
    "services", "CPU time per request in the services", lambda window: window.part(SERVICES), "µs"
)


@dataclass(frozen=True, slots=True)
class Contrast:
    """What the first arm costs over the second."""

    first: str
    second: str
    title: str = ""

    def __str__(self) -> str:
        return self.title or f"{self.first} over {self.second}"


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit that a contrast is to keep; the far end of the interval decides."""

    contrast: Contrast
    quantity: Quantity
    limit: float  # of the ratio
    least: bool = False  # the ratio is to be at least, not below, the limit
