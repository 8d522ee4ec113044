"""The policy as chains of the host's filter table, the same for both worlds. Pure.

The bridges hand their frames to iptables (`nf_call_iptables`), so one place sees every packet:
between two services on one bridge, between tiers, to and from this host and the outside. Nothing is
accepted twice: each rule is the only one that accepts, or denies, what it names.

    FORWARD ─▶ FROM (a service asks) ─▶ TO-service ─▶ accept     INPUT ─▶ replies, or DENY
            │                        ─▶ OUT (egress) ─▶ accept   OUTPUT ─▶ HOST ─▶ EDGE, accept
            └▶ INTO (the outside asks) ─▶ EDGE (rate) ─▶ accept  everything else ─▶ DENY
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twinstack.linux.iptables import Hook, quoted
from twinstack.model import names
from twinstack.model.plan import Plan, Replica
from twinstack.model.topology import Egress, WorldName
from twinstack.model.vxlan import Vtep
from twinstack.policy.permissions import Permission, addresses, permissions

#: The NFLOG group of denied packets, and how many of them are logged.
NFLOG_GROUP = 7311
NFLOG_PER_S = 20
_NFLOG_LIMIT = f"-m limit --limit {NFLOG_PER_S}/sec --limit-burst {2 * NFLOG_PER_S}"
_REPLIES = "-m conntrack --ctstate RELATED,ESTABLISHED"
_CONTAINER_BRIDGES = ("docker+", "br-+", "dk-+", "virbr+", "lxdbr+", "cni+", "podman+")
_VPNS = ("wg+", "tun+", "tap+", "tailscale+")
#: Links of other software. Egress never leads into one; with `--no-policy` the rules of their
#: owners decide whether our namespaces may enter them.
FOREIGN_LINKS = (*_CONTAINER_BRIDGES, *_VPNS)

#: A service's port: (service, protocol, port).
_Target = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of a chain."""

    text: str  # in iptables-save's form, without its chain
    sentence: str  # what it is for


@dataclass(frozen=True, slots=True)
class PolicyChain:
    """One chain of the policy."""

    name: str
    builtin: str  # the built-in chain that leads into it; "" where only our own chains do
    rules: tuple[PolicyRule, ...]

    def hook(self, mark: str) -> Hook:
        """Give it as a step of the filter table."""
        texts = tuple(rule.text for rule in self.rules)
        return Hook("filter", self.builtin, self.name, texts, bool(self.builtin), mark)


def chains(plan: Plan, world: WorldName, forward: str = "FORWARD") -> tuple[PolicyChain, ...]:
    """List the policy's chains, those that others lead to first.

    `forward` is the built-in chain that judges forwarded packets: DOCKER-USER where an engine keeps
    it, since that chain stays ahead of Docker's own rules.
    """
    return _Writer(plan, world).chains(forward)


def nflog_prefix(plan: Plan, world: WorldName) -> str:
    """Give the NFLOG prefix that marks a denied packet as this world's."""
    return f"{plan.mark} {world}"


class _Writer:
    def __init__(self, plan: Plan, world: WorldName) -> None:
        self._plan = plan
        self._world = world
        self._permissions = permissions(plan, world)
        self._from_world = [granted for granted in self._permissions if granted.source == "world"]
        self._between_services = self._by_target()
        self._egress_chains = self._number_egresses()
        self._bridges = {segment.name: segment.bridge_in(world) for segment in plan.segments}
        self._deny = self._name("DENY")

    def chains(self, forward: str) -> tuple[PolicyChain, ...]:
        jumps_out = self._per_bridge("-o", "HOST", "this host asks")
        found = [
            ("DENY", "", self._denials()),
            ("EDGE", "", self._edge()),
            *((self._suffix(to), "", self._sources(to)) for to in self._between_services),
            *((suffix, "", self._ports(to)) for to, suffix in self._egress_chains.items()),
            ("FROM", "", self._from_services()),
            ("INTO", "", self._from_outside()),
            ("HOST", "", self._from_host()),
            ("INPUT", "INPUT", self._to_host()),
            ("OUTPUT", "OUTPUT", jumps_out),
            ("FORWARD", forward, self._forwarded()),
        ]
        return tuple(
            PolicyChain(self._name(suffix), builtin, present)
            for suffix, builtin, rules in found
            if (present := tuple(rules))  # without a flow of the world's, nothing leads to the edge
        )

    def _by_target(self) -> dict[_Target, list[Permission]]:
        """Gather what services may ask of services."""
        services = {replica.service for replica in self._plan.replicas}
        found: dict[_Target, list[Permission]] = {}
        for granted in self._permissions:
            if {granted.source, granted.destination} <= services:
                found.setdefault(granted.target, []).append(granted)
        return found

    def _number_egresses(self) -> dict[Egress, str]:
        """Name a chain for each set of ports that some service may go out to."""
        sets = dict.fromkeys(replica.egress for replica in self._plan.replicas)
        used = (egress for egress in sets if egress.tcp or egress.udp)
        return {egress: f"OUT-{n}" if n > 1 else "OUT" for n, egress in enumerate(used, 1)}

    def _name(self, suffix: str) -> str:
        return names.chain(self._plan.instance, suffix, self._world)

    def _rule(self, match: str, target: str, sentence: str, comment: str) -> PolicyRule:
        comment = quoted(f"{self._plan.mark} {comment}")
        text = f"{match} -m comment --comment {comment} -j {target}".lstrip()
        return PolicyRule(text, sentence)

    def _per_bridge(self, direction: str, suffix: str, why: str) -> Iterator[PolicyRule]:
        for bridge in self._bridges.values():
            yield self._rule(f"{direction} {bridge}", self._name(suffix), f"{why}: {bridge}", why)

    def _forwarded(self) -> Iterator[PolicyRule]:
        if self._world == "net" and self._plan.vtep:
            yield from self._from_other_hosts(self._plan.vtep)
        yield from self._per_bridge("-i", "FROM", "a service asks")
        yield from self._per_bridge("-o", "INTO", "the outside asks")

    def _from_other_hosts(self, vtep: Vtep) -> Iterator[PolicyRule]:
        """Take what another host asks through the VXLAN as what it is: from outside."""
        for segment, bridge in self._bridges.items():
            physdev = f"-m physdev --physdev-in {vtep.tunnel(segment).link}"
            match = f"-s {vtep.underlay} -i {bridge} {physdev}"
            sentence = f"another host asks: {bridge}"
            yield self._rule(match, self._name("INTO"), sentence, "a host asks")

    def _denials(self) -> Iterator[PolicyRule]:
        prefix = quoted(nflog_prefix(self._plan, self._world))
        log = f"NFLOG --nflog-prefix {prefix} --nflog-group {NFLOG_GROUP}"
        yield self._rule(_NFLOG_LIMIT, log, "invoke policy.drops reads denied packets", "logged")
        yield self._rule("", "DROP", "everything that is not declared is denied", "denied")

    def _edge(self) -> Iterator[PolicyRule]:
        if not self._from_world:
            return
        if limit := self._plan.rate_limit:
            rate, burst = limit.rate_per_s, limit.burst
            # A hashlimit table that is still in use keeps its rate: another rate, another name.
            yield self._rule(
                f"-m hashlimit --hashlimit-above {rate}/sec --hashlimit-burst {burst}"
                f" --hashlimit-mode srcip --hashlimit-name {self._name('EDGE')}-{rate}-{burst}",
                self._deny,
                f"one client may open {rate} connections a second, {burst} at once (edge)",
                "too many",
            )
            yield self._rule(
                f"-m connlimit --connlimit-above {limit.connections}"
                " --connlimit-mask 32 --connlimit-saddr",
                self._deny,
                f"one client may hold {limit.connections} connections open (edge)",
                "too many at once",
            )
        yield self._rule("", "ACCEPT", "what the world may reach is open to it", "the edge")

    def _suffix(self, to: _Target) -> str:
        service, protocol, port = to
        own = (protocol, port) == ("tcp", self._plan.replicas_of(service)[0].port)
        return f"TO-{service}" if own else f"TO-{service}-{protocol}-{port}"

    def _sources(self, to: _Target) -> Iterator[PolicyRule]:
        service = to[0]
        segment = self._plan.replicas_of(service)[0].segment
        for granted in self._between_services[to]:
            for replica in self._plan.replicas_of(granted.source):
                # In Docker a replica asks from its own address on the destination's network.
                address = dict(addresses(replica, self._world)).get(segment, replica.address)
                comment = f"{replica.name} to {service}"
                yield self._rule(f"-s {address}/32", "ACCEPT", granted.sentence, comment)

    def _ports(self, egress: Egress) -> Iterator[PolicyRule]:
        for protocol in ("tcp", "udp"):
            ports = ",".join(str(port) for port in egress.ports(protocol))
            if ports:
                module = "multiport --dports" if "," in ports else f"{protocol} --dport"
                sentence = f"out to {protocol} port {ports.replace(',', ', ')} (egress)"
                yield self._rule(f"-p {protocol} -m {module} {ports}", "ACCEPT", sentence, "out")

    def _dispatch(
        self, to: _Target, target: str, sentence: str, state: str = ""
    ) -> Iterator[PolicyRule]:
        """Lead what asks a service's port to `target`; with `state` where no service asks.

        Peers use a replica's first address. An engine leads from a published port to any of a
        container's addresses: from there each is open.
        """
        service, protocol, port = to
        for replica in self._plan.replicas_of(service):
            own = [address for _, address in addresses(replica, self._world)]
            for address in own if state else own[:1]:
                match = f"-d {address}/32 -p {protocol} -m {protocol} --dport {port}"
                match += f" -m conntrack --ctstate {state}" if state else ""
                yield self._rule(match, target, sentence, f"to {replica.name}")

    def _from_services(self) -> Iterator[PolicyRule]:
        yield self._rule(_REPLIES, "ACCEPT", "replies to what was permitted pass", "replies")
        for to in self._between_services:
            service, protocol, port = to
            target = self._name(self._suffix(to))
            asked = f"{service} on {protocol} port {port}"
            yield from self._dispatch(to, target, f"who may ask {asked} is listed in {target}")
        if self._egress_chains:
            yield from self._not_out()
            for replica in self._plan.replicas:
                if replica.egress in self._egress_chains:
                    yield from self._exit(replica, self._name(self._egress_chains[replica.egress]))
        yield self._rule("", self._deny, "nothing else that a service asks passes", "the rest")

    def _not_out(self) -> Iterator[PolicyRule]:
        """Keep egress out of our own segments and of foreign links."""
        bridges = tuple(self._bridges.values())
        for pattern in FOREIGN_LINKS:
            ours = [bridge for bridge in bridges if bridge.startswith(pattern.removesuffix("+"))]
            also = f", and nothing else between services on {' and '.join(ours)}" if ours else ""
            sentence = f"egress does not lead into {pattern} of other software{also}"
            yield self._rule(f"-o {pattern}", self._deny, sentence, "not out")
        caught = tuple(pattern.removesuffix("+") for pattern in FOREIGN_LINKS)
        for bridge in bridges:
            if not bridge.startswith(caught):
                sentence = f"nothing else between services on {bridge}"
                yield self._rule(f"-o {bridge}", self._deny, sentence, "between services")

    def _exit(self, replica: Replica, target: str) -> Iterator[PolicyRule]:
        for _, address in addresses(replica, self._world):
            sentence = f"where {replica.name} may go out to is listed in {target}"
            yield self._rule(f"-s {address}/32", target, sentence, f"{replica.name} out")

    def _from_outside(self) -> Iterator[PolicyRule]:
        yield self._rule(_REPLIES, "ACCEPT", "replies from outside pass", "replies")
        # In Docker other machines come by a published port that is not bound to this host alone.
        ports = [port for port in self._plan.published_ports if port.world == self._world]
        published = {self._plan.replica(p.replica).service for p in ports if not p.bind.is_loopback}
        state = "NEW" if self._world == "net" else "DNAT"
        for granted in self._from_world:
            if self._world == "net" or granted.destination in published:
                edge = self._name("EDGE")
                yield from self._dispatch(granted.target, edge, granted.sentence, state)
        yield self._rule("", self._deny, "nothing else from outside passes", "the rest")

    def _from_host(self) -> Iterator[PolicyRule]:
        yield self._rule(_REPLIES, "ACCEPT", "replies and open connections pass", "replies")
        edge = self._name("EDGE")
        for granted in self._from_world:
            yield from self._dispatch(granted.target, edge, granted.sentence, "NEW")
        done = {granted.target for granted in self._from_world}
        for granted in self._permissions:
            if granted.source == "host" and granted.target not in done:
                yield from self._dispatch(granted.target, "ACCEPT", granted.sentence, "NEW")
        yield self._rule("", self._deny, "nothing else that this host asks passes", "the rest")

    def _to_host(self) -> Iterator[PolicyRule]:
        asked = {
            segment
            for granted in self._permissions
            if granted.source in names.PEERS
            for segment, _ in addresses(self._plan.replicas_of(granted.destination)[0], self._world)
        }
        for segment, bridge in self._bridges.items():
            if segment in asked:
                match = f"-i {bridge} {_REPLIES}"
                yield self._rule(match, "ACCEPT", "replies to this host pass", "replies")
            sentence = f"no service turns to this host: {bridge}"
            yield self._rule(f"-i {bridge}", self._deny, sentence, "not to the host")
