"""Causes in the source's own namespace, and on its way to the bridge. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

from twinstack.model.plan import HOST, OUTSIDE
from twinstack.observe.why.case import (
    BRIDGE,
    FAR_HOST_END,
    HOST_END,
    SOURCE,
    Case,
    Cause,
    End,
    FailureCause,
)
from twinstack.observe.why.evidence import ELSEWHERE
from twinstack.observe.why.rules import removal

_ROUTE_KINDS = {"EHOSTUNREACH": "unreachable", "EACCES": "prohibit", "EINVAL": "blackhole"}


def place(case: Case, where: str) -> str:
    """Give the words before a command that runs it in a namespace."""
    outer = where in {HOST, OUTSIDE, ELSEWHERE}
    return "" if outer else f"invoke {case.evidence.question.world}.exec {where} -- "


def name_unknown(case: Case) -> FailureCause | None:
    """Find a name that the source cannot resolve."""
    evidence = case.evidence
    if not evidence.misnamed or evidence.hosts_entry is not None:
        return None
    question = evidence.question
    return FailureCause(
        "name-unknown",
        question.source,
        f"{question.source} cannot resolve {question.destination}: its /etc/hosts has no such name",
        case.net_up,
    )


def name_wrong(case: Case) -> FailureCause | None:
    """Find a name that the source resolves to another address."""
    evidence, question = case.evidence, case.evidence.question
    if not evidence.misnamed or evidence.hosts_entry is None:
        return None
    return FailureCause(
        "name-wrong",
        question.source,
        f"{question.source} resolves {question.destination} to {evidence.hosts_entry}; it is"
        f" {question.address} (/etc/hosts)",
        case.net_up,
    )


def link_missing(case: Case) -> FailureCause | None:
    """Find that the source's link is gone."""
    return _link_missing(case, case.near) if case.furthest == SOURCE else None


def link_down(case: Case) -> FailureCause | None:
    """Find that the source's link is down."""
    return _link_down(case, case.near) if case.furthest == SOURCE else None


def address_missing(case: Case) -> FailureCause | None:
    """Find a source without the address that the plan gives it."""
    near = case.near
    if near is None or near.has_address or case.reached:
        return None
    held = ", ".join(sorted(near.inside.addresses)) if near.inside else ""
    return FailureCause(
        "source-address",
        near.name,
        f"{near.link} in {near.name} does not have its address {near.address}"
        + (f" but {held}" if held else ""),
        case.net_up,
    )


def no_route(case: Case) -> FailureCause | None:
    """Find a source that has no route, or one that stops packets."""
    source, question = case.evidence.source, case.evidence.question
    if not source.no_route:
        return None
    to = case.evidence.attempt.address
    kind = _ROUTE_KINDS.get(source.no_route)
    what = f"a route of the kind {kind} stops packets" if kind else "there is no route"
    return FailureCause(
        f"route-{kind}" if kind else "no-route",
        question.source,
        f"{question.source} cannot send to {to}: {what} in its namespace",
        f'{case.net_up}; look with "{place(case, question.source)}ip route"',
    )


def wrong_route(case: Case) -> FailureCause | None:
    """Find a route that leads elsewhere: another gateway, another link."""
    near, route = case.near, case.evidence.source.route
    if near is None or route is None or case.reached:
        return None
    if case.far is None and case.evidence.question.destination:  # the host, or one that is gone
        return None
    own = {str(IPv4Interface(each).ip) for each in near.inside.addresses} if near.inside else set()
    expected = str(near.segment.gateway_in(case.evidence.question.world)) if case.routed else None
    to = case.evidence.attempt.address
    if not case.routed and case.far and to != case.far.address:
        return None
    if route.link == near.link and route.gateway == expected:
        return None
    if to in own:
        return None
    through = f"via {route.gateway}" if route.gateway else "without a gateway"
    should = f"via {expected}" if expected else "directly"
    return FailureCause(
        "wrong-route",
        near.name,
        f"{near.name} sends to {to} {through} on {route.link}; it should {should} on {near.link}",
        case.net_up,
    )


def denied_at_home(case: Case) -> FailureCause | None:
    """Find a rule of the source's own namespace."""
    question = case.evidence.question
    rule = case.denied_by(question.source) if question.source != "host" else None
    if rule is None:
        return None
    return FailureCause(
        "source-rule",
        question.source,
        f"a rule inside {question.source} drops it: {rule.rule or rule.chain}",
        removal(rule, question.world),
        rule.rule,
    )


def wrong_neighbour(case: Case) -> FailureCause | None:
    """Find a static ARP entry with a MAC that is not the next hop's."""
    near, route = case.near, case.evidence.source.route
    if near is None or route is None:
        return None
    hop = route.gateway or case.evidence.attempt.address
    true = _mac_of(case, hop)
    for each in case.evidence.source.neighbours:
        if each.address == hop and each.state == "PERMANENT" and true and each.mac != true:
            return FailureCause(
                "wrong-neighbour",
                near.name,
                f"{near.name} has a static ARP entry for {hop}: {each.mac}; it is {true}",
                f"invoke {case.evidence.question.world}.exec {near.name} -- ip neigh del {hop}"
                f" dev {each.link}",
            )
    return None


def arp_off(case: Case) -> FailureCause | None:
    """Find an end that takes no part in ARP."""
    if case.reached:
        return None
    for end in (case.near, case.far):
        if end and end.inside and not end.inside.arp:
            return FailureCause(
                "arp-off",
                end.name,
                f"{end.link} in {end.name} does not take part in ARP (NOARP)",
                f"invoke {case.evidence.question.world}.exec {end.name} -- ip link set {end.link}"
                " arp on",
            )
    return None


def host_end_missing(case: Case) -> FailureCause | None:
    """Find what is wrong with the host's end of the source's pair."""
    return host_end(case, case.near) if case.furthest <= HOST_END else None


def port(case: Case) -> FailureCause | None:
    """Find what is wrong with the source's port of the bridge."""
    return bridge_port(case, case.near) if case.furthest < BRIDGE else None


def host_end(case: Case, end: End | None) -> FailureCause | None:
    """Find what is wrong with the host's end of a veth pair."""
    if end is None or not end.host_link:
        return None
    if end.outside is None:
        return FailureCause(
            "host-end-missing",
            end.host_link,
            f"{end.host_link}, the host's end of {end.name}'s veth pair, is not there",
            case.net_up,
        )
    if not end.outside.up:
        return FailureCause(
            "host-end-down",
            end.host_link,
            f"{end.host_link}, the host's end of {end.name}'s veth pair, is down",
            f"ip link set {end.host_link} up",
        )
    return None


def bridge_port(case: Case, end: End | None) -> FailureCause | None:
    """Find what is wrong with the bridge, or with the port of one end."""
    if end is None or end.outside is None:
        return None
    name = end.segment.bridge_in(case.evidence.question.world)
    if end.bridge is None:
        return FailureCause("bridge-missing", name, f"the bridge {name} is not there", case.net_up)
    if end.outside.master != name:
        now = f"is a port of {end.outside.master}" if end.outside.master else "is no bridge's port"
        return FailureCause(
            "not-on-bridge",
            end.host_link,
            f"{end.host_link} ({end.name}) {now}; it should be one of {name}",
            f"ip link set {end.host_link} master {name}",
        )
    if not end.bridge.up:
        return FailureCause("bridge-down", name, f"{name} is down", f"ip link set {name} up")
    if end.outside.carrier and end.outside.port_state != "forwarding":
        return FailureCause(
            "port-state",
            end.host_link,
            f"the port {end.host_link} of {name} is {end.outside.port_state}: it forwards nothing",
            f"bridge link set dev {end.host_link} state 3",
        )
    return None


def isolated(case: Case) -> FailureCause | None:
    """Find two ports of one bridge that exchange nothing."""
    near, far = case.near, case.far
    if case.routed or near is None or far is None or case.furthest > BRIDGE:
        return None
    if near.outside and far.outside and near.outside.isolated and far.outside.isolated:
        return FailureCause(
            "isolated-ports",
            near.host_link,
            f"{near.host_link} and {far.host_link} are isolated ports: they exchange nothing",
            f"bridge link set dev {near.host_link} isolated off",
        )
    return None


def _link_missing(case: Case, end: End | None) -> FailureCause | None:
    if end is None or end.inside is not None:
        return None
    return FailureCause("link-missing", end.name, f"{end.name} has no link {end.link}", case.net_up)


def _link_down(case: Case, end: End | None) -> FailureCause | None:
    if end is None or end.inside is None or end.inside.up:
        return None
    return FailureCause(
        "link-down",
        f"{end.name}/{end.link}",
        f"{end.link} in {end.name} is down",
        f"invoke {case.evidence.question.world}.exec {end.name} -- ip link set {end.link} up"
        f" (then {case.net_up}: a link that goes down loses its routes)",
    )


def far_link(case: Case) -> FailureCause | None:
    """Find the same at the destination."""
    if case.furthest > FAR_HOST_END:
        return None
    return _link_missing(case, case.far) or _link_down(case, case.far)


def _mac_of(case: Case, address: str) -> str:
    """Give the MAC that an address of this world really has; "" where that is not known."""
    if case.far and case.far.address == address and case.far.inside:
        return case.far.inside.mac
    for link in case.evidence.host.links.values():
        if any(IPv4Interface(each).ip == IPv4Address(address) for each in link.addresses):
            return link.mac
    return ""


#: In the order in which they are looked for.
CAUSES: tuple[Cause, ...] = (
    name_unknown,
    name_wrong,
    link_missing,
    link_down,
    address_missing,
    no_route,
    wrong_route,
    denied_at_home,
    wrong_neighbour,
    host_end_missing,
    port,
    isolated,
)
