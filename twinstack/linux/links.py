"""Network interfaces as the kernel reports them: plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TunnelFacts:
    """What makes a link a VXLAN: network identifier, own address, UDP port, and its switches."""

    vni: int
    local: str
    port: int
    df: bool
    learning: bool


@dataclass(frozen=True, slots=True)
class LinkIdentity:
    """What tells whose a network interface is, and which; `down` needs to know no more."""

    name: str
    index: int
    kind: str | None
    alias: str | None
    group: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts(LinkIdentity):
    """One network interface. `addresses` as ADDRESS/LENGTH, IPv4 only; `hairpin` of its port.

    `filtered`: a bridge that hands its frames to iptables, whatever the host's switch says.
    `quiet_port`: of a bridge, learns nothing, passes on nothing unknown, answers ARP itself.
    """

    mtu: int
    up: bool
    master: str | None
    addresses: frozenset[str] = frozenset()
    autoconfigures_ipv6: bool = True
    hairpin: bool = False
    filtered: bool = False
    mac: str = ""
    tunnel: TunnelFacts | None = None
    quiet_port: bool = False
