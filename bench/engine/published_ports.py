"""The published ports of a world, as a client on this host can enter them.

Docker publishes a port twice: 127.0.0.1 leads through its userland proxy (where one runs), the
host's other addresses through DNAT in the kernel. The two cost differently, so each has its row.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.engine import loads
from bench.engine.worlds import EDGE
from twinstack.compose import userland_proxy
from twinstack.errors import CannotTell
from twinstack.linux.own_address import own_address
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

#: Stands for the address in results: they are passed on, and the machine's own is private.
HOST = "this host's address"


def entries(
    worlds: Sequence[LocalWorld], path: str, progress: Progress
) -> dict[str, tuple[LocalWorld, Endpoint]]:
    """Give the ways in by the edge's published port, as a client on the host uses them."""
    ways = {}
    for world in worlds:
        if published := world.published(EDGE):
            ways[f"{world.name} :{published.port}"] = (world, published)
        if by_address := by_dnat(world, EDGE, path, progress):
            ways[f"{world.name} DNAT"] = (world, by_address)
    return ways


def described(name: str, endpoint: Endpoint) -> str:
    """Write an entry point's address as results keep it, and whether a proxy serves it."""
    address = HOST if name.endswith(" DNAT") else endpoint.address
    through_proxy = name.startswith("docker :") and any(userland_proxy.pids(endpoint.port))
    return f"{address}:{endpoint.port}{' (docker-proxy)' if through_proxy else ''}"


def by_dnat(world: LocalWorld, service: str, path: str, progress: Progress) -> Endpoint | None:
    """Give the way to a published port by the host's own address, where there is one.

    Only Docker has a second way in; one that does not answer (a firewall) is left out, and said.
    """
    declared, published = world.plan.published_port(world.name, service), world.published(service)
    if world.name != "docker" or declared is None or published is None:
        return None
    address = host_address(world.plan) if declared.bind.is_unspecified else None
    if address is None:
        return None
    endpoint = Endpoint(address, published.port)
    try:
        loads.get_ok(endpoint, path)
    except CannotTell as error:
        progress(f"left out: port {published.port} by {HOST}: {error.failure} ({error.cause})")
        return None
    return endpoint


def host_address(plan: Plan) -> str | None:
    """Give this host's own address, none of the plan's."""
    inner = (net for segment in plan.segments for net in (segment.subnet, segment.docker_subnet))
    return own_address(tuple(inner))
