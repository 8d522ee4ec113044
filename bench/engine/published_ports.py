"""The published ports of a world, as a client on this host can enter them.

Docker publishes a port twice: 127.0.0.1 leads through its userland proxy (where one runs), the
host's other addresses through DNAT in the kernel. The two cost differently, so each has its row.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

from bench.engine import loads
from bench.engine.worlds import EDGE
from twinstack.errors import CannotTell
from twinstack.linux.links import own_addresses
from twinstack.linux.procfs import cmdline, pids
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

#: Stands for the address in results: they are passed on, and the machine's own is private.
HOST = "this host's address"
#: A documentation address (RFC 5737): no packet is sent, the kernel only routes.
_ELSEWHERE = ("198.51.100.1", 9)


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
    through_proxy = name.startswith("docker :") and proxied(endpoint.port)
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


def proxied(port: int, proc: Path = Path("/proc")) -> bool:
    """Tell whether a userland proxy of Docker's runs for a port; else 127.0.0.1 is DNAT too."""
    return any(proxies(port, proc))


def proxies(port: int, proc: Path = Path("/proc")) -> Iterator[int]:
    """Give the pids of Docker's userland proxies for a port."""
    for pid in pids(proc):
        words = cmdline(pid, proc)
        if words and words[0].endswith("docker-proxy") and str(port) in words:
            yield pid


def host_address(plan: Plan) -> str | None:
    """Give this host's own address: the source of its default route, or the first global one."""
    addresses: list[IPv4Address | IPv6Address] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent, suppress(OSError):
        unsent.connect(_ELSEWHERE)
        addresses.append(IPv4Address(unsent.getsockname()[0]))
    with suppress(OSError):
        addresses += own_addresses()
    inner = [net for segment in plan.segments for net in (segment.subnet, segment.docker_subnet)]
    return choose(addresses, inner)


def choose(
    addresses: Iterable[IPv4Address | IPv6Address], inner: Sequence[IPv4Network]
) -> str | None:
    """Take the first IPv4 address that other machines could use; pure."""
    for address in addresses:
        local = address.is_loopback or address.is_link_local
        if address.version == 4 and not local and not any(address in net for net in inner):
            return str(address)
    return None
