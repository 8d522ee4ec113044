"""The network's part of a plan as steps: bridges, rules, namespaces, veth pairs; pure.

The order is that of doing. What a step is, and how it differs from the facts, is in `steps`.
"""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.model import names
from twinstack.model.plan import Plan, Replica, Segment
from twinstack.model.vxlan import Vtep, mac_of
from twinstack.namespaces import rules
from twinstack.namespaces.steps import (
    Bridge,
    BridgeFilter,
    Namespace,
    NetworkStep,
    Rules,
    Sysctl,
    VethPair,
)
from twinstack.namespaces.vxlan_steps import EVERYBODY, Forwarding, Mounts, SourceRoute, Tunnel
from twinstack.state.paths import InstancePaths

#: As an engine does in containers: nobody closes IPv6 by closing IPv4. The kernel sets the
#: default for links to come along with `all`.
IPV6_OFF = (("net.ipv6.conf.all.disable_ipv6", "1"),)
#: What is set in every namespace that we make. A service may bind any port in it, since nothing
#: else lives there. A redirect is not followed: the host sends one when two neighbours talk by way
#: of its forwarded port, and it would lead past the address translation.
NAMESPACE_SYSCTLS = (
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.conf.all.accept_redirects", "0"),
    ("net.ipv4.conf.default.accept_redirects", "0"),
    *IPV6_OFF,
)


#: A source is believed when any way leads back to it (rp_filter).
LOOSE = "2"
#: The kernel keeps so many neighbours for all its network namespaces together before it drops
#: some and refuses others; every namespace has one at least, and the host one for each.
_NEIGHBOURS = 1024
_NEIGHBOURS_EACH = 8


def network_steps(plan: Plan) -> tuple[NetworkStep, ...]:
    """List the kernel's part: everything but files and processes."""
    return tuple(_network_steps(plan))


def _network_steps(plan: Plan) -> Iterator[NetworkStep]:
    yield Sysctl("net.ipv4.ip_forward", "1", held=True)
    if plan.vtep:
        # An answer to this host's own address comes by the underlay, not by the tunnel.
        yield Sysctl("net.ipv4.conf.all.rp_filter", LOOSE, held=True)
    neighbours = _NEIGHBOURS_EACH * len(plan.replicas)
    if neighbours > _NEIGHBOURS:
        for level, share in ((3, neighbours), (2, neighbours // 2)):
            key = f"net.ipv4.neigh.default.gc_thresh{level}"
            yield Sysctl(key, str(share), held=True, at_least=True)
    if plan.policy:
        yield BridgeFilter()
    for segment in plan.segments:
        address = f"{segment.gateway}/{segment.subnet.prefixlen}"
        yield Bridge(
            segment.bridge,
            address,
            plan.mtu,
            plan.mark,
            names.link_group(plan.instance),
            filtered=plan.policy,
            mac=mac_of(segment.gateway) if plan.vtep else "",
        )
        if plan.vtep:
            yield from _joined(plan, plan.vtep, segment)
    for segment in rules.segments_with_doors(plan):
        # Without it the kernel refuses to send a packet from 127.0.0.1 into a bridge. The
        # switch goes with the bridge, so there is nothing to restore.
        yield Sysctl(f"net.ipv4.conf.{segment.bridge}.route_localnet", "1")
    if plan.vtep and rules.segments_with_doors(plan):
        # The answer to a client on 127.0.0.1 may come by the underlay.
        yield Sysctl(f"net.ipv4.conf.{plan.vtep.uplink}.route_localnet", "1", held=True)
    yield from (Rules(hook) for hook in rules.hooks(plan))
    for replica in plan.here:
        yield Namespace(replica.name, NAMESPACE_SYSCTLS, plan.mark)
        yield _veth(plan, replica)
    if plan.machines:
        pins = InstancePaths(plan.instance).run / "mounts"
        yield from (Mounts(replica.name, str(pins / replica.name)) for replica in plan.replicas)


def _joined(plan: Plan, vtep: Vtep, segment: Segment) -> Iterator[NetworkStep]:
    """Join a segment's bridge with those of the other hosts."""
    tunnel = vtep.tunnel(segment.name)
    yield Tunnel(
        tunnel.link,
        segment.bridge,
        tunnel.vni,
        vtep.address,
        vtep.port,
        plan.mtu,
        plan.mark,
        names.link_group(plan.instance),
    )
    fdb = [one for one in vtep.fdb if one.segment == segment.name]
    remote = {(one.mac, str(one.host)) for one in fdb if one.host is not None}
    yield Forwarding(
        tunnel.link,
        segment.bridge,
        frozenset({*((EVERYBODY, str(peer)) for peer in vtep.peers), *remote}),
        frozenset((str(one.address), one.mac) for one in fdb),
    )
    yield SourceRoute(segment.bridge, segment.subnet, vtep.address)


def _veth(plan: Plan, replica: Replica) -> VethPair:
    return VethPair(
        host_end=replica.host_link,
        namespace=replica.name,
        link=replica.link,
        bridge=plan.segment(replica.segment).bridge,
        address=f"{replica.address}/{replica.prefix_length}",
        gateway=replica.gateway,
        mtu=plan.mtu,
        mark=plan.mark,
        group=names.link_group(plan.instance),
        hairpin=any(
            door.replica == replica.name for door in plan.published_ports if door.world == "net"
        ),
        mac=plan.vtep.mac(replica.name) if plan.vtep else "",
    )
