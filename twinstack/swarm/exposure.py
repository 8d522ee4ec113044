"""What this kernel can do for a Swarm service, and how services are reached because of it; pure.

Swarm gives a service one virtual address and spreads connections by IPVS, in the kernel. Where
the kernel has none (CONFIG_IP_VS), names are answered with the tasks' own addresses instead, and
a published port is a port of the host that the task runs on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from twinstack.errors import TwinstackError
from twinstack.model.plan import Plan, PublishedPort

#: VXLAN over IPv4: outer Ethernet 14, IP 20, UDP 8, VXLAN 8. Source: RFC 7348, section 5.
VXLAN_BYTES = 50
_POOLS = ("172.29.0.0/16", "172.28.0.0/16", "172.27.0.0/16", "192.168.240.0/20")


@dataclass(frozen=True, slots=True)
class Exposure:
    """How services are reached.

    `endpoint` is Swarm's endpoint_mode, `ports` its mode of a published port. `everywhere`: a
    service with a door runs once on each node, so that each host has the door.
    """

    endpoint: Literal["vip", "dnsrr"]
    ports: Literal["ingress", "host"]
    everywhere: bool


def exposure(ipvs: bool) -> Exposure:
    """Decide it from whether the kernel has IPVS."""
    if ipvs:
        return Exposure("vip", "ingress", everywhere=False)
    return Exposure("dnsrr", "host", everywhere=True)


def doors(plan: Plan) -> tuple[PublishedPort, ...]:
    """Give the doors of the Docker world: those of the Swarm too."""
    return tuple(door for door in plan.published_ports if door.world == "docker")


def kept_to_the_host(plan: Plan) -> tuple[int, ...]:
    """Give the ports that only the host itself may use: Swarm cannot bind to one address."""
    return tuple(door.port for door in doors(plan) if IPv4Address(door.bind).is_loopback)


def address_pool(plan: Plan, underlay: IPv4Network, pools: Iterable[str] = _POOLS) -> str:
    """Choose where Swarm takes subnets for networks that declare none (its own, for ingress).

    Its default is 10.0.0.0/8, in which br-app lies. Raises: TwinstackError when none is free.
    """
    taken = [underlay]
    for segment in plan.segments:
        taken += [segment.subnet, segment.docker_subnet]
    for pool in pools:
        if not any(IPv4Network(pool).overlaps(other) for other in taken):
            return pool
    raise TwinstackError(
        "Swarm's address pool",
        "cannot be chosen",
        f"{', '.join(pools)} are all in use",
        "declare other subnets in topology.yml",
    )
