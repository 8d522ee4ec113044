"""Causes on the host, where bridges, routes, NAT and rules are. Pure."""

from __future__ import annotations

from twinstack.linux.iptables import followed, target
from twinstack.model.plan import HOST, OUTSIDE
from twinstack.observe.why.case import BRIDGE, FAR_BRIDGE, SOURCE, Case, Cause, FailureCause
from twinstack.observe.why.rules import is_ours, purpose, removal, shown
from twinstack.policy import outside
from twinstack.policy.permissions import addresses


def gateway_missing(case: Case) -> FailureCause | None:
    """Find a bridge without the host's address, where the host routes."""
    if not case.routed or case.furthest >= FAR_BRIDGE:
        return None
    for end in (case.near, case.far):
        if end is None or end.bridge is None:
            continue
        gateway = str(end.segment.gateway_in(case.evidence.question.world))
        held = {address.partition("/")[0] for address in end.bridge.addresses}
        if gateway not in held:
            name = end.bridge.name
            return FailureCause(
                "gateway-missing",
                name,
                f"{name} does not have this host's address {gateway}, {end.name}'s gateway",
                case.net_up,
            )
    return None


def denied(case: Case) -> FailureCause | None:
    """Find the rule that dropped the packet on the host."""
    rule = case.denied_by(HOST)
    if rule is None:
        return None
    question, plan = case.evidence.question, case.evidence.plan
    if purpose(rule.rule, plan).startswith("fault "):
        return FailureCause(
            "fault", HOST, f"a fault of invoke chaos drops it: {shown(rule)}", "end the chaos run"
        )
    if is_ours(rule, plan) and case.direct and question.destination != HOST:
        return FailureCause(
            "no-flow",
            HOST,
            "the policy denies it: from other machines a container is reached by a published port"
            " only",
            f"ask by that port: invoke why {OUTSIDE} {question.destination} --world docker",
            rule.rule,
        )
    if is_ours(rule, plan) and (not case.declared or _stays_here(case)):
        return FailureCause(
            "no-flow",
            HOST,
            f"the policy denies it: no flow is declared from {question.source} to"
            f" {question.destination or question.address} on {question.protocol} port"
            f" {question.port}",
            _declaration(case),
            rule.rule,
        )
    if is_ours(rule, plan):
        if any(words.startswith("too many") for words in _leading(case)):
            return FailureCause(
                "edge-limit",
                HOST,
                "the edge's limit of new connections denies it: this client opens too many",
                "wait, or raise edge in topology.yml",
                rule.rule,
            )
        return FailureCause(
            "rule-missing",
            HOST,
            f"the policy's last rule denies it, though it is declared ({case.declared}): the rule"
            " that permits it is missing, or not reached",
            case.net_up,
            rule.rule,
        )
    what = f"a rule that is not ours drops it: {shown(rule)}"
    if not rule.rule and not rule.foreign:
        what = f"the policy of {rule.table} {rule.chain} is DROP, and no rule accepts it"
        if case.declared and case.evidence.question.world == "net":
            return FailureCause("rule-missing", HOST, f"{what}: our rules are missing", case.net_up)
    return FailureCause("foreign-rule", HOST, what, removal(rule, question.world), rule.rule)


def forwarding_off(case: Case) -> FailureCause | None:
    """Find a host, or a link of it, that does not forward."""
    if not case.routed or case.furthest >= FAR_BRIDGE:
        return None
    question, sysctls = case.evidence.question, case.evidence.host.sysctls
    link = case.near.segment.bridge_in(question.world) if case.near else ""
    if question.source == OUTSIDE:
        link = outside.LINK
    if sysctls.get(f"forwarding.{link}", 1) == 0 and question.destination != HOST:
        every = sysctls.get("ip_forward") == 0
        key = "net.ipv4.ip_forward" if every else f"net.ipv4.conf.{link}.forwarding"
        return FailureCause(
            "forwarding-off",
            HOST,
            f"this host does not forward packets from {link}: {key} is 0",
            f"sysctl -w {key}=1",
        )
    return None


def reverse_path(case: Case) -> FailureCause | None:
    """Find a packet that the reverse path filter dropped."""
    drop = case.drop("IP_RPFILTER")
    if drop is None:
        return None
    return FailureCause(
        "reverse-path",
        drop.where,
        f"rp_filter on {drop.link} of {drop.where} drops it: the way back to"
        f" {drop.headers.source} would be another link",
        f"sysctl -w net.ipv4.conf.{drop.link}.rp_filter=0 in {drop.where}, or mend its routes",
    )


def wrong_way_on(case: Case) -> FailureCause | None:
    """Find a route of the host's that leads away from the destination's bridge."""
    far = case.far
    if not case.routed or far is None or case.furthest >= FAR_BRIDGE:
        return None
    if case.evidence.question.published:
        return None
    bridge, route = far.segment.bridge_in(case.evidence.question.world), case.evidence.host.route
    if route is not None and route.link == bridge and route.gateway is None:
        return None
    if far.bridge is None or not far.bridge.up:
        return None
    kind = case.evidence.host.no_route
    where = f"over {route.link}" if route else f"nowhere ({kind})"
    return FailureCause(
        "host-route",
        HOST,
        f"this host sends what is for {far.address} {where}, not over {bridge}",
        f"{case.net_up}; look with: ip route get {far.address}",
    )


def conntrack_full(case: Case) -> FailureCause | None:
    """Find a table that has no room for another connection."""
    for name, namespace in case.evidence.namespaces.items():
        if namespace.conntrack is None:
            continue
        tracked, most = namespace.conntrack
        if tracked >= most and case.evidence.attempt.outcome in {"silent", "failed"}:
            return FailureCause(
                "conntrack-full",
                name,
                f"the connection tracking table of {name} is full: {tracked:,} of {most:,}",
                f"sysctl -w net.netfilter.nf_conntrack_max={2 * most} (invoke conntrack shows who"
                " fills it)",
            )
    return None


def not_published(case: Case) -> FailureCause | None:
    """Find a published port without its DNAT."""
    question, attempt = case.evidence.question, case.evidence.attempt
    if not question.published or attempt.outcome == "answered":
        return None
    taken = any(each.local_port == question.port for each in case.evidence.host.listeners)
    if case.proxied and attempt.outcome == "refused" and not taken and case.furthest == SOURCE:
        return FailureCause(
            "not-published",
            HOST,
            f"nothing on this host listens on port {question.port}: docker-proxy should, for"
            f" {question.destination}",
            case.restart(question.destination),
        )
    port, hook = f"--dport {question.port} ", "OUTPUT" if question.source == HOST else "PREROUTING"
    lines = case.evidence.saved_rules.get("nat", ())
    rules = [line for line in followed(lines, hook) if port in line and target(line) == "DNAT"]
    replica = case.evidence.plan.replica(question.destination)
    to = tuple(f"{own}:{replica.port}" for _, own in addresses(replica, question.world))
    if not rules:
        return FailureCause(
            "not-published",
            HOST,
            f"this host's port {question.port} leads nowhere: no rule of NAT sends it to"
            f" {question.destination}",
            case.net_up,
        )
    if not any(rule.rstrip().endswith(to) for rule in rules):
        leads = rules[0].rpartition(" ")[2]
        return FailureCause(
            "wrong-dnat",
            HOST,
            f"this host's port {question.port} is sent to {leads}; {question.destination}"
            f" is {to[0]}",
            case.net_up,
            rules[0],
        )
    far = case.far
    local = question.world == "net" and question.address.startswith("127.")
    if far is None or not local or case.furthest > BRIDGE:
        return None
    bridge, sysctls = far.segment.bridge, case.evidence.host.sysctls
    if not any(sysctls.get(f"route_localnet.{name}") for name in ("all", bridge)):
        return FailureCause(
            "route-localnet",
            HOST,
            f"packets of 127.0.0.1 may not leave by {bridge}: its route_localnet is 0",
            f"sysctl -w net.ipv4.conf.{bridge}.route_localnet=1",
        )
    return None


def wrong_neighbour(case: Case) -> FailureCause | None:
    """Find a static ARP entry of the host's for the destination, with another's MAC."""
    far = case.far
    if far is None or far.inside is None or not case.routed:
        return None
    for each in case.evidence.host.neighbours:
        if each.address == far.address and each.state == "PERMANENT" and each.mac != far.inside.mac:
            return FailureCause(
                "wrong-neighbour",
                HOST,
                f"this host has a static ARP entry for {far.address}: {each.mac}; {far.name}'s is"
                f" {far.inside.mac}",
                f"ip neigh del {far.address} dev {each.link}",
            )
    return None


def _declaration(case: Case) -> str:
    """Say how the attempt would be permitted, where a declaration can."""
    question, plan = case.evidence.question, case.evidence.plan
    service = {replica.name: replica.service for replica in plan.replicas}
    source, destination = service.get(question.source), service.get(question.destination)
    if question.protocol == "ping" or (destination is None and question.destination == HOST):
        return "no declaration permits it"
    if _stays_here(case):
        return "no declaration permits it: egress leads out of this host only"
    if destination is None:
        words = f"egress of {source}: {question.protocol} port {question.port}"
    else:
        port = f", port: {question.port}" if question.port != _own_port(case) else ""
        words = f"flows: {{from: {source or 'world'}, to: {destination}{port}}}"
    return f"declare it in topology.yml ({words}), then {case.net_up}"


def _own_port(case: Case) -> int:
    question = case.evidence.question
    return case.evidence.plan.replica(question.destination).port if not question.published else 0


def _leading(case: Case) -> list[str]:
    """Give the comments of our rules that led to the last one."""
    rules = (rule.rule for rule in case.evidence.rules if rule.where == HOST)
    return [purpose(rule, case.evidence.plan) for rule in rules]


def _stays_here(case: Case) -> bool:
    """Tell whether an address that is no replica's is behind one of this host's own bridges."""
    inner = {"not out", "between services"}
    return not case.evidence.question.destination and not inner.isdisjoint(_leading(case))


#: In the order in which they are looked for.
CAUSES: tuple[Cause, ...] = (
    gateway_missing,
    denied,
    conntrack_full,
    not_published,
    reverse_path,
    forwarding_off,
    wrong_way_on,
    wrong_neighbour,
)
