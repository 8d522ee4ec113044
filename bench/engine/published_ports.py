"""The published ports of a world, as a client on this host may enter them.

Docker publishes a port twice: 127.0.0.1 leads through its userland proxy (where one runs), the
host's other addresses through DNAT in the kernel. The two cost differently, so each has its row.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from bench.engine import probe
from twinstack.errors import CannotTell, TwinstackError
from twinstack.linux import process as shell
from twinstack.linux.procfs import cmdline, pids
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

#: What is told in place of the address: a result is no place for a machine's own.
HOST = "this host's address"
#: An address of the documentation's (RFC 5737): no packet is sent, the kernel only routes.
_ELSEWHERE = ("198.51.100.1", 9)


def by_dnat(world: LocalWorld, service: str, path: str, progress: Progress) -> Endpoint | None:
    """Give the way to a published port by the host's own address, where there is one.

    Only Docker has a second way in; one that does not answer (a firewall) is left out, and said.
    """
    door, published = world.plan.published_port(world.name, service), world.published(service)
    if world.name != "docker" or door is None or published is None:
        return None
    address = host_address(world.plan) if door.bind.is_unspecified else None
    if address is None:
        return None
    endpoint = Endpoint(address, published.port)
    try:
        probe.get_ok(endpoint, path)
    except CannotTell as error:
        progress(f"left out: port {published.port} by {HOST}: {error.failure} ({error.cause})")
        return None
    return endpoint


def proxied(port: int, proc: Path = Path("/proc")) -> bool:
    """See whether a userland proxy of Docker's runs for a port; else 127.0.0.1 is DNAT too."""
    commands = (cmdline(pid, proc) for pid in pids(proc))
    return any(
        words and words[0].endswith("docker-proxy") and str(port) in words for words in commands
    )


def host_address(plan: Plan) -> str | None:
    """Give this host's own address: the one its default route sends from, or the first global."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        try:
            unsent.connect(_ELSEWHERE)
            routed = IPv4Address(unsent.getsockname()[0])
        except OSError:
            routed = None
    inner = [one for segment in plan.segments for one in (segment.subnet, segment.docker_subnet)]
    found = choose([routed] if routed else [], inner) or choose(_addresses(), inner)
    return None if found is None else str(found)


def choose(found: Iterable[IPv4Address], inner: Sequence[IPv4Network]) -> IPv4Address | None:
    """Take the first address that other machines could use; pure."""
    for one in found:
        if not (one.is_loopback or one.is_link_local or any(one in subnet for subnet in inner)):
            return one
    return None


def parse_addresses(text: str) -> list[IPv4Address]:
    """Read `ip -json -4 address show scope global`, Docker's own bridge left out."""
    return [
        IPv4Address(address["local"])
        for link in json.loads(text or "[]")
        if link.get("ifname") != "docker0"
        for address in link.get("addr_info", ())
        if "local" in address
    ]


def _addresses() -> list[IPv4Address]:
    command = ("ip", "-json", "-4", "address", "show", "scope", "global", "up")
    try:
        return parse_addresses(shell.run(command, timeout_s=10).stdout)
    except (TwinstackError, ValueError):
        return []
