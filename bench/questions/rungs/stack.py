"""The ladder for one request of the stack: the same load entering both worlds at each depth.

Entering at the product service alone, at the gateway and at the edge shows where a difference
between the worlds arises; entering by a published port beside the own address shows what that port
costs. The proof of an entry point is the CPU time of the services and of the proxy on its way: each
spends some for every request, and those further out none.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.engine import gate, published_ports, worlds
from bench.engine.arm import Arm, Contrast, Window
from bench.engine.loads import by_wrk
from bench.engine.question import Design, Experiment, Outcome, outcome_of, run
from twinstack.compose import userland_proxy
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import Endpoint, LocalWorld

#: The services from the inside out, and the path that each answers.
_DEPTHS = (
    ("product-service", "product", "/products"),
    ("api-gateway", "gateway", "/api/products"),
    (worlds.EDGE, "edge", "/api/products"),
)
_CONNECTIONS = 20
#: What a service on the way spends at least for a request, and one beside it does not.
_SPENT_US = 15.0


def ask(stack: Stack, *, how: Design, allow: Sequence[str] = (), progress: Progress) -> Outcome:
    """Measure every layer of two comparable worlds. Raises: as `gate.require`; CannotTell."""
    both = net, docker = worlds.both(stack, None, progress)
    with worlds.lifted(both, policy=True):
        alike = gate.require(both, worlds.EDGE, _DEPTHS[-1][2], allow, progress)
        chosen = [entry for world in both for entry in entries(world, progress)]

        def arms() -> Iterator[Arm]:
            for name, world, endpoint, path in chosen:
                load = by_wrk(endpoint.url(path), _CONNECTIONS, how.run_s)
                yield Arm(name, load, world.name)

        edge = docker.published(worlds.EDGE)
        proxied = "docker-proxy" if edge and any(userland_proxy.pids(edge.port)) else "DNAT"
        experiment = Experiment(
            stage=worlds.redeployed(both, arms, progress),
            contrasts=layers([name for name, *_ in chosen], proxied=proxied),
            load=f"{_CONNECTIONS} kept connections (wrk) at every depth",
            worlds=both,
        )
        measured = run(experiment, how, progress)
        astray = {
            name: why for name, own in measured.arms.items() if (why := strays(name, own, proxied))
        }
        rows = [row for row in measured.contrasts if not {row.first, row.second} & astray.keys()]
        measured = replace(measured, contrasts=tuple(rows))
        notes = [*gate.unchanged(alike, both), worlds.POLICY_LIFTED]
        notes += [f"{name}: no row: {why}" for name, why in astray.items()]
    return outcome_of(measured, "layers", net.plan, notes, alike)


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


def strays(arm: str, windows: Sequence[Window], proxied: str) -> str:
    """Say what shows that an entry point's requests took another way; empty when nothing does."""
    depths = [depth for _, depth, _ in _DEPTHS]
    last = depths.index(arm.rsplit(" ", 1)[-1])
    by_proxy = arm.startswith("docker published") and proxied == "docker-proxy"
    spent_us = {
        service: (statistics.median(window.service(service) for window in windows), place <= last)
        for place, (service, _, _) in enumerate(_DEPTHS)
    }
    proxy_us = statistics.median(window.part("docker-proxy") for window in windows)
    for name, (spent, expected) in {**spent_us, "docker-proxy": (proxy_us, by_proxy)}.items():
        if (spent >= _SPENT_US) != expected:
            return f"{name} spends {spent:.1f} µs a request"
    return ""


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
