"""Which layer costs what? The same load entering both worlds at each depth.

Entering at the product service alone, at the gateway and at the edge shows where a difference
between the worlds arises; entering by a published port beside the own address shows what that port
costs. A layer is the difference of two such entry points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.engine import gate, published_ports, worlds
from bench.engine.arm import Arm, Contrast
from bench.engine.design import Design
from bench.engine.experiment import Experiment, run
from bench.engine.loads import by_wrk
from bench.engine.store import Outcome
from bench.engine.worlds import EDGE
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import Endpoint, LocalWorld

#: The services from the inside out, and the path that each answers.
_DEPTHS = (
    ("product-service", "product", "/products"),
    ("api-gateway", "gateway", "/api/products"),
    (EDGE, "edge", "/api/products"),
)
_CONNECTIONS = 20


def ask(stack: Stack, *, how: Design, allow: Sequence[str] = (), progress: Progress) -> Outcome:
    """Measure every layer of two comparable worlds. Raises: as `gate.require`; CannotTell."""
    how.check()
    both = net, docker = worlds.both(stack, None, progress)
    with worlds.lifted(both, policy=True):
        alike = gate.require(both, EDGE, _DEPTHS[-1][2], allow, progress)
        chosen = [entry for world in both for entry in entries(world, progress)]

        def arms() -> Iterator[Arm]:
            for name, world, endpoint, path in chosen:
                load = by_wrk(endpoint.url(path), _CONNECTIONS, round(how.seconds))
                yield Arm(name, load, world.name)

        edge = docker.published(EDGE)
        proxied = "docker-proxy" if edge and published_ports.proxied(edge.port) else "DNAT"
        experiment = Experiment(
            stage=worlds.redeployed(both, arms, progress),
            contrasts=layers([name for name, *_ in chosen], proxied=proxied),
            load=f"{_CONNECTIONS} kept connections (wrk) at every depth",
            worlds=both,
        )
        measured = run(experiment, how, progress)
        notes = [*gate.unchanged(alike, both), worlds.POLICY_LIFTED]
    return measured.outcome("layers", net.plan, notes, alike)


def entries(
    world: LocalWorld, progress: Progress
) -> Iterator[tuple[str, LocalWorld, Endpoint, str]]:
    """Give every entry point of a world: own addresses inside out, then published ports."""
    for service, depth, path in _DEPTHS:
        yield f"{world.name} {depth}", world, world.endpoint(service), path
    for service, depth, path in _DEPTHS:
        by_dnat = published_ports.by_dnat(world, service, path, progress)
        for how, entry in (("published", world.published(service)), ("DNAT", by_dnat)):
            if entry is not None:
                yield f"{world.name} {how} {depth}", world, entry, path


def layers(names: Sequence[str], *, proxied: str) -> tuple[Contrast, ...]:
    """Give the layers that the entry points allow; `proxied`: how Docker's port enters; pure."""
    edge, gateway = f"Docker's edge port ({proxied})", f"Docker's gateway port ({proxied})"
    known = (
        Contrast("docker edge", "net edge", "Docker around the whole chain"),
        Contrast("docker gateway", "net gateway", "Docker around gateway and product"),
        Contrast("docker product", "net product", "Docker around the product service alone"),
        Contrast("net gateway", "net product", "the gateway's hop, namespaces"),
        Contrast("net edge", "net gateway", "nginx' hop, namespaces"),
        Contrast("net published edge", "net edge", "port 8080 by our DNAT, from localhost"),
        Contrast("docker published edge", "docker edge", f"{edge}, from localhost"),
        Contrast("docker DNAT edge", "docker edge", "Docker's edge port by its DNAT"),
        Contrast("docker published gateway", "docker gateway", f"{gateway}, from localhost"),
    )
    return tuple(layer for layer in known if {layer.first, layer.second} <= set(names))
