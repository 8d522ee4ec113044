"""How long do several hosts take to come up and go? Underlay and overlay, without services."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from statistics import median

from bench.engine.show import columns, extremes, wrap
from bench.engine.store import Outcome
from bench.questions.provisioning import host, topologies
from twinstack.linux.own_host import in_own_host
from twinstack.model import bounds
from twinstack.overlay import teardown as overlays
from twinstack.overlay.host_plans import spread_over_hosts
from twinstack.overlay.world import Overlay
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.statistics.estimate import grouped, spread

SIZES = (2, 4, 8, 16)
#: Replicas on each host, and the time in which the most hosts must be up.
SERVICES_EACH, MOST_S = 8, 10.0


@dataclass(frozen=True, slots=True)
class OverlayRun:
    """Going up and down once. Units: seconds; CPU of all processes."""

    hosts: int
    up_s: float
    down_s: float
    up_cpu_s: float
    down_cpu_s: float
    left: tuple[str, ...]  # what down left on the host


def ask(_: Stack, *, sizes: Sequence[int] = SIZES, rounds: int = 5, progress: Progress) -> Outcome:
    """Bring hosts up and down, `rounds` times each size. Raises: StepFailed; as `overlay.up`."""
    bounds.times(rounds)
    instance = f"bo{os.getpid() % 10_000}"
    measured = in_own_host(lambda: measure(instance, sizes, rounds, progress))
    plan = topologies.plan(SERVICES_EACH * max(sizes), instance)
    return Outcome("overlay", plan, tuple(measured), table(measured), 0 if reached(measured) else 1)


def reached(runs: Sequence[OverlayRun]) -> bool:
    """Tell whether the most hosts were always up in time, and nothing was left of any; pure."""
    most = max(run.hosts for run in runs)
    slowest = max(run.up_s for run in runs if run.hosts == most)
    return slowest <= MOST_S and not any(run.left for run in runs)


def table(measured: Sequence[OverlayRun]) -> str:
    """Write the figures by size; pure."""
    sizes = grouped(measured, lambda run: run.hosts)
    head = ["hosts", "namespaces", "up s", "(min–max)", "a host", "CPU a host"]
    rows = []
    for hosts, runs in sorted(sizes.items()):
        up, down, cpu = (
            median(map(of, runs)) for of in map(attrgetter, ("up_s", "down_s", "up_cpu_s"))
        )
        extent = extremes(spread([run.up_s for run in runs]), 2)
        ups = [f"{up:.2f}", extent, f"{up / hosts:.3f}", f"{cpu / hosts:.3f}"]
        left = str(sum(len(run.left) for run in runs) or "nothing")
        namespaces = hosts * (SERVICES_EACH + 1)
        rows.append([f"{hosts}", f"{namespaces}", *ups, f"{down:.2f}", f"{down / hosts:.3f}", left])
    legend = (
        f"{SERVICES_EACH} replicas a host, flat shape, policy on, no services; medians "
        f"of {len(measured) // len(sizes)} rounds, in seconds. left: what differs on the host "
        "afterwards."
    )
    drawn = columns([*head, "down s", "a host", "left"], rows, rule=True)
    return f"{drawn}\n\n{wrap(legend)}"


def measure(
    instance: str, sizes: Sequence[int], rounds: int, progress: Progress
) -> list[OverlayRun]:
    """Bring hosts up and down on the host of the caller. Raises: as `overlay.up`."""
    measured = []
    for number in range(1, rounds + 1):
        for hosts in sizes:  # in turn, so that a slow minute meets them all
            run = _run(hosts, instance)
            measured.append(run)
            times = f"up in {run.up_s:.2f} s, down in {run.down_s:.2f} s"
            progress(f"round {number}: {hosts} hosts {times}")
    return measured


def _run(hosts: int, instance: str) -> OverlayRun:
    topology = topologies.sized(SERVICES_EACH * hosts)
    plan = topologies.plan(SERVICES_EACH * hosts, instance)
    before = host.state()
    placed, none = spread_over_hosts(plan, topology.hosts, hosts), host.no_software
    overlay = Overlay(plan, placed, none, none, bare=True)
    times = [(time.monotonic(), host.cpu_s())]
    overlay.up(timeout_s=60, progress=host.quiet)
    times.append((time.monotonic(), host.cpu_s()))
    overlays.down(instance, progress=host.quiet)
    times.append((time.monotonic(), host.cpu_s()))
    (up_s, up_cpu_s), (down_s, down_cpu_s) = (
        (after[0] - before[0], after[1] - before[1]) for before, after in pairwise(times)
    )
    left = tuple(sorted(before ^ host.state()))
    return OverlayRun(hosts, up_s, down_s, up_cpu_s, down_cpu_s, left)
