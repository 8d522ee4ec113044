"""Which layer costs what? The same load let in at each depth of both worlds, in one interleaving.

Entering at the product service alone, at the gateway and at the edge shows where a difference
between the worlds arises; entering by a published port beside the own address shows what the way
in costs. A rung compares two such entries; what its interval does not decide, it says it cannot
tell. Health probes at rest and CPU quotas, the usual hidden costs, are read from the counters.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from bench.engine import observed, published_ports, trials
from bench.engine.comparison import contrast
from bench.engine.estimate import Ratio
from bench.engine.report import WIDTH
from bench.engine.trials import Load, Rest, Sample, Target
from bench.engine.worlds import EDGE
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

#: The ladder's services from the inside out, and the path that each answers.
_DEPTHS = (
    ("product-service", "product", "/products"),
    ("api-gateway", "gateway", None),
    (EDGE, "edge", None),
)


@dataclass(frozen=True, slots=True)
class Rung:
    """One layer: `with_it` against `without_it`. The ratios are of CPU (host) and rate."""

    layer: str
    with_it: str
    without_it: str


@dataclass(frozen=True, slots=True)
class RungResult:
    """What a rung costs. Units: `extra_us` of the whole host's CPU for each request."""

    rung: Rung
    host: Ratio | None
    rate: Ratio | None
    extra_us: float

    @property
    def sentence(self) -> str:
        """Say what it costs, or that it cannot be told."""
        if self.host is None or self.host.verdict == "no measurable difference":
            cpu = "CPU cannot tell"
            if self.host is not None:
                cpu += f" ({_span(self.host)})"
        else:
            cpu = f"CPU {self.extra_us:+.0f} µs a request ({_span(self.host)})"
        if self.rate is None or self.rate.verdict == "no measurable difference":
            rate = "rate cannot tell" + (f" ({_span(self.rate)})" if self.rate else "")
        else:
            rate = f"rate {_span(self.rate)}"
        return f"{self.rung.layer}: {cpu}; {rate}."


@dataclass(frozen=True, slots=True)
class Layers:
    """The ladder; `throttled` is the part of the time that CPU quotas kept replicas waiting."""

    rungs: tuple[RungResult, ...]
    samples: tuple[Sample, ...]
    rest: Rest
    throttled: dict[str, float]
    seed: int


def climb(
    net: LocalWorld,
    docker: LocalWorld,
    load: Load,
    *,
    rounds: int = 10,
    seed: int = 1,
    progress: Progress,
) -> Layers:
    """Measure every rung on two worlds that are up. Raises: as `measure.measure`."""
    worlds = (net, docker)
    progress("watching at rest for 4 s")
    at_rest = trials.rest(worlds, seconds=4.0)
    chosen = targets(worlds, load.path, progress)
    before = [_throttled_us(world) for world in worlds]
    samples = trials.measure(chosen, (), load, rounds=rounds, seed=seed, progress=progress)
    after = [_throttled_us(world) for world in worlds]
    loaded_s = {
        world.name: sum(
            one.seconds
            for one in samples
            if one.target in {target.name for target in chosen if target.world is world}
        )
        for world in worlds
    }
    edge = docker.published(EDGE)
    proxied = "docker-proxy" if edge and published_ports.proxied(edge.port) else "DNAT"
    ladder = rungs([target.name for target in chosen], proxied=proxied)
    return Layers(
        rungs=tuple(result(samples, rung, seed=seed) for rung in ladder),
        samples=samples,
        rest=at_rest,
        throttled={
            world.name: (now - was) / 1e6 / max(loaded_s[world.name], 1e-9)
            for world, was, now in zip(worlds, before, after, strict=True)
        },
        seed=seed,
    )


def targets(worlds: Sequence[LocalWorld], path: str, progress: Progress) -> tuple[Target, ...]:
    """Give every entry of the ladder: own addresses inside out, then published ports."""
    found = []
    for world in worlds:
        for service, depth, own in _DEPTHS:
            found.append(Target(f"{world.name} {depth}", world, world.endpoint(service), own))
        for service, depth, own in _DEPTHS:
            door = world.published(service)
            if door is not None:
                found.append(Target(f"{world.name} published {depth}", world, door, own))
            door = published_ports.by_dnat(world, service, own or path, progress)
            if door is not None:
                found.append(Target(f"{world.name} DNAT {depth}", world, door, own))
    return tuple(found)


def rungs(names: Sequence[str], *, proxied: str) -> tuple[Rung, ...]:
    """Give the comparisons that the entries allow; pure. `proxied` is Docker's way in."""
    wanted = (
        Rung("Docker around the product service alone", "docker product", "net product"),
        Rung("Docker around gateway and product", "docker gateway", "net gateway"),
        Rung("Docker around the whole chain", "docker edge", "net edge"),
        Rung("the gateway's hop, namespaces", "net gateway", "net product"),
        Rung("nginx' hop, namespaces", "net edge", "net gateway"),
        Rung("port 8080 by our DNAT, from localhost", "net published edge", "net edge"),
        Rung(
            f"Docker's edge port ({proxied}), from localhost",
            "docker published edge",
            "docker edge",
        ),
        Rung(
            "Docker's edge port by its DNAT, from the host's address",
            "docker DNAT edge",
            "docker edge",
        ),
        Rung(
            f"Docker's gateway port ({proxied}), from localhost",
            "docker published gateway",
            "docker gateway",
        ),
    )
    return tuple(one for one in wanted if one.with_it in names and one.without_it in names)


def result(samples: Sequence[Sample], rung: Rung, *, seed: int) -> RungResult:
    """Evaluate one rung; pure."""
    host = contrast(samples, "host", rung.with_it, rung.without_it, seed=seed).ratio
    rate = contrast(samples, "rate", rung.with_it, rung.without_it, seed=seed).ratio
    base = [one.host_us_per_request for one in samples if one.target == rung.without_it]
    middle = sorted(base)[len(base) // 2] if base else 0.0
    extra_us = (host.estimate - 1) * middle if host else 0.0
    return RungResult(rung, host, rate, extra_us)


def text(found: Layers) -> str:
    """Write the ladder, a sentence a rung, at most 80 columns wide."""
    lines = [one.sentence for one in found.rungs]
    for world, us in sorted(found.rest.cpu_us_per_s.items()):
        lines.append(f"at rest, {world}: {us / 1000:.1f} ms of CPU every second (probes, leases).")
    for world, part in sorted(found.throttled.items()):
        lines.append(f"CPU quotas, {world}: replicas kept waiting {part:.1%} of the loaded time.")
    return "\n".join(textwrap.fill(one, WIDTH, subsequent_indent="  ") for one in lines)


def _span(found: Ratio) -> str:
    return f"×{found.estimate:.2f}, {found.low:.2f} to {found.high:.2f}"


def _throttled_us(world: LocalWorld) -> int:
    return sum(
        observed.throttled_us(state.pid) for state in world.status() if state.pid is not None
    )
