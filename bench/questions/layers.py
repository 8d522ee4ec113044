"""Which layer costs what? The same load entering both worlds at each depth, interleaved.

Entering at the product service alone, at the gateway and at the edge shows where a difference
between the worlds arises; entering by a published port beside the own address shows what that port
costs. A layer is the difference of two such entry points; where its interval does not decide, it
says so. Health probes at rest and CPU quotas, the usual hidden costs, are read from the counters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.engine import comparability, meter, published_ports, trials, worlds
from bench.engine.comparison import contrast
from bench.engine.design import require_load, require_rounds
from bench.engine.estimate import Ratio, median
from bench.engine.meter import Rest
from bench.engine.show import wrap
from bench.engine.store import Outcome
from bench.engine.trials import Sample, Target
from bench.engine.worlds import EDGE
from bench.load.ab import AbLoad
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

#: The services from the inside out, and the path that each answers.
_DEPTHS = (
    ("product-service", "product", "/products"),
    ("api-gateway", "gateway", None),
    (EDGE, "edge", None),
)
_CLIENTS, _REST_S, _SEED = 50, 4.0, 1


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: entry point `with_it` against `without_it`."""

    layer: str
    with_it: str
    without_it: str


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What a layer costs: ratios of CPU time on the whole host, and of rate."""

    rung: Layer
    host: Ratio | None
    rate: Ratio | None
    extra_us: float  # of the whole host's CPU time per request

    @property
    def sentence(self) -> str:
        """Say what it costs, or that the samples leave it open."""
        cpu = _decided(self.host, f"{self.extra_us:+.0f} µs a request ({{}})")
        return f"{self.rung.layer}: CPU {cpu}; rate {_decided(self.rate, '{}')}."


def _decided(ratio: Ratio | None, form: str) -> str:
    """Write a ratio into a form, where it is decided."""
    if ratio is None:
        return "cannot tell"
    span = f"×{ratio.estimate:.2f}, {ratio.low:.2f} to {ratio.high:.2f}"
    return f"cannot tell ({span})" if ratio.undecided else form.format(span)


@dataclass(frozen=True, slots=True)
class Layers:
    """All layers."""

    rungs: tuple[LayerCost, ...]
    samples: tuple[Sample, ...]
    rest: Rest
    throttled: dict[str, float]  # by world: the part of the time that quotas kept replicas waiting
    seed: int


def ask(
    stack: Stack, *, rounds: int, requests: int, force: bool = False, progress: Progress
) -> Outcome:
    """Say which layer costs what, on comparable worlds. Raises: as `measure`, `comparability`."""
    require_rounds(rounds)
    load = AbLoad(requests=requests, concurrency=_CLIENTS)
    require_load(load)
    both = net, docker = worlds.both(stack, None, progress)
    with worlds.lifted(both, policy=True):
        alike = comparability.require(both, EDGE, load.path, force=force, progress=progress)
        layers = measure(net, docker, load, rounds=rounds, progress=progress)
    parts = [text(layers), worlds.POLICY_LIFTED, alike.listed()[0]]
    forced = alike.sentences("misleads")
    return Outcome("layers", net.plan, layers, "\n".join(filter(None, parts)), not_alike=forced)


def measure(
    net: LocalWorld, docker: LocalWorld, load: AbLoad, *, rounds: int, progress: Progress
) -> Layers:
    """Measure every layer of two worlds that are up. Raises: as `trials.measure`."""
    both = (net, docker)
    progress(f"watching at rest for {_REST_S:g} s")
    at_rest = meter.rest(both, seconds=_REST_S)
    chosen = [target for world in both for target in targets(world, load.path, progress)]
    before_us = {world.name: _held_us(world) for world in both}
    samples = trials.measure(
        chosen, (), load, rounds=rounds, seed=_SEED, at_rest=at_rest, progress=progress
    )
    throttled: dict[str, float] = {}
    for world in both:
        loaded = [trial.seconds for trial in samples if trial.target.startswith(world.name)]
        throttled[world.name] = (_held_us(world) - before_us[world.name]) / 1e6 / sum(loaded)
    edge = docker.published(EDGE)
    proxied = "docker-proxy" if edge and published_ports.proxied(edge.port) else "DNAT"
    measurable = layers([target.name for target in chosen], proxied=proxied)
    costs = tuple(result(samples, layer, seed=_SEED) for layer in measurable)
    return Layers(costs, samples, at_rest, throttled, _SEED)


def _held_us(world: LocalWorld) -> int:
    return meter.throttled_us(world.main_pids().values())


def targets(world: LocalWorld, path: str, progress: Progress) -> Iterator[Target]:
    """Give every entry point of a world: own addresses inside out, then published ports."""
    for service, depth, own in _DEPTHS:
        yield Target(f"{world.name} {depth}", world, world.endpoint(service), own)
    for service, depth, own in _DEPTHS:
        by_dnat = published_ports.by_dnat(world, service, own or path, progress)
        for how, entry in (("published", world.published(service)), ("DNAT", by_dnat)):
            if entry is not None:
                yield Target(f"{world.name} {how} {depth}", world, entry, own)


def layers(names: Sequence[str], *, proxied: str) -> tuple[Layer, ...]:
    """Give the layers that the entry points allow; `proxied`: how Docker's port enters; pure."""
    edge, gateway = f"Docker's edge port ({proxied})", f"Docker's gateway port ({proxied})"
    known = (
        Layer("Docker around the product service alone", "docker product", "net product"),
        Layer("Docker around gateway and product", "docker gateway", "net gateway"),
        Layer("Docker around the whole chain", "docker edge", "net edge"),
        Layer("the gateway's hop, namespaces", "net gateway", "net product"),
        Layer("nginx' hop, namespaces", "net edge", "net gateway"),
        Layer("port 8080 by our DNAT, from localhost", "net published edge", "net edge"),
        Layer(f"{edge}, from localhost", "docker published edge", "docker edge"),
        Layer(
            "Docker's edge port by its DNAT, from the host's address",
            "docker DNAT edge",
            "docker edge",
        ),
        Layer(f"{gateway}, from localhost", "docker published gateway", "docker gateway"),
    )
    return tuple(layer for layer in known if {layer.with_it, layer.without_it} <= set(names))


def result(samples: Sequence[Sample], layer: Layer, *, seed: int) -> LayerCost:
    """Evaluate one layer; pure."""
    host, rate = (
        contrast(samples, quantity, layer.with_it, layer.without_it, seed=seed).ratio
        for quantity in ("host", "rate")
    )
    without = [sample for sample in samples if sample.target == layer.without_it]
    extra_us = (host.estimate - 1) * median(without, "host_us_per_request") if host else 0.0
    return LayerCost(layer, host, rate, extra_us)


def text(layers: Layers) -> str:
    """Write a sentence a layer."""
    lines = [cost.sentence for cost in layers.rungs]
    for world, us in sorted(layers.rest.cpu_us_per_s.items()):
        lines.append(f"at rest, {world}: {us / 1000:.1f} ms of CPU every second (probes, leases).")
    for world, part in sorted(layers.throttled.items()):
        lines.append(f"CPU quotas, {world}: replicas kept waiting {part:.1%} of the loaded time.")
    return wrap(*lines, indent="  ")
