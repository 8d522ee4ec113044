"""How services are reached, decided by what this kernel can do for Swarm; pure.

Swarm gives a service one virtual address and balances connections with IPVS. Without IPVS in the
kernel (CONFIG_IP_VS) service names resolve to the tasks' own addresses, and a published port is a
port of the host that the task runs on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from twinstack.errors import TwinstackError
from twinstack.model.plan import Plan, PublishedPort

_POOLS = ("172.29.0.0/16", "172.28.0.0/16", "172.27.0.0/16", "192.168.240.0/20")


@dataclass(frozen=True, slots=True)
class Exposure:
    """How services are reached."""

    endpoint: Literal["vip", "dnsrr"]  # endpoint_mode
    ports: Literal["ingress", "host"]  # mode of a published port
    everywhere: bool  # a service with a published port runs a task on each node


def exposure(ipvs: bool) -> Exposure:
    """Decide from whether the kernel has IPVS."""
    if ipvs:
        return Exposure("vip", "ingress", everywhere=False)
    return Exposure("dnsrr", "host", everywhere=True)


def published_ports(plan: Plan) -> tuple[PublishedPort, ...]:
    """List the published ports: those of the Docker world."""
    return tuple(port for port in plan.published_ports if port.world == "docker")


def host_only_ports(plan: Plan) -> tuple[int, ...]:
    """List the ports for the host itself alone: Swarm cannot publish on one address."""
    ports = published_ports(plan)
    return tuple(port.port for port in ports if IPv4Address(port.bind).is_loopback)


def address_pool(plan: Plan, underlay: IPv4Network, pools: Iterable[str] = _POOLS) -> str:
    """Choose the pool for networks that declare no subnet, such as Swarm's own ingress.

    Swarm's default is 10.0.0.0/8, which contains br-app. Raises: TwinstackError when none is free.
    """
    taken = [underlay]
    for segment in plan.segments:
        taken += [segment.subnet, segment.docker_subnet]
    for pool in pools:
        if not any(IPv4Network(pool).overlaps(other) for other in taken):
            return pool
    cause, remedy = f"{', '.join(pools)} are all in use", "declare other subnets in topology.yml"
    raise TwinstackError("Swarm's address pool", "cannot be chosen", cause, remedy)
