"""The policy as chains of the host's filter table, the same for both worlds. Pure.

The bridges hand their frames to iptables (`nf_call_iptables`), so one place sees every packet:
between two services on one bridge, between tiers, to and from this host and the outside. Nothing is
accepted twice: each rule is the only one that lets pass, or stops, what it names.

    FORWARD ─▶ FROM (a service asks) ─▶ TO-service ─▶ accept     INPUT ─▶ replies, or DENY
            │                        ─▶ OUT (egress) ─▶ accept   OUTPUT ─▶ HOST ─▶ EDGE, accept
            └▶ INTO (the outside asks) ─▶ EDGE (rate) ─▶ accept  everything else ─▶ DENY
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twinstack.linux.iptables import Hook, quoted
from twinstack.model import names
from twinstack.model.plan import Egress, Plan, Replica, Segment
from twinstack.model.topology import WorldName
from twinstack.policy.permissions import Permission, addresses, flows_in, permissions

#: The group of nfnetlink_log that denied packets are told to, and how many of them.
NFLOG_GROUP = 7311
NFLOG_PER_S = 20
_NFLOG_LIMIT = f"-m limit --limit {NFLOG_PER_S}/sec --limit-burst {2 * NFLOG_PER_S}"
_REPLIES = "-m conntrack --ctstate RELATED,ESTABLISHED"
_CONTAINER_BRIDGES = ("docker+", "br-+", "dk-+", "virbr+", "lxdbr+", "cni+", "podman+")
_VPNS = ("wg+", "tun+", "tap+", "tailscale+")
#: Links of other software. Egress never leads into one; with `--no-policy` the rules of their
#: owners decide whether our namespaces may enter them.
FOREIGN_LINKS = (*_CONTAINER_BRIDGES, *_VPNS)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in iptables-save's form, without its chain, and what it is there for."""

    text: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain of the policy; `builtin` is what leads into it, empty for our own chains."""

    name: str
    builtin: str
    rules: tuple[Rule, ...]

    def hook(self, mark: str) -> Hook:
        """Give it as a step of the filter table."""
        texts = tuple(rule.text for rule in self.rules)
        return Hook("filter", self.builtin, self.name, texts, bool(self.builtin), mark)


def chains(plan: Plan, world: WorldName, forward: str = "FORWARD") -> tuple[Chain, ...]:
    """List the policy's chains, those that others lead to first.

    `forward` is the built-in chain that forwarded packets are judged in: DOCKER-USER where an
    engine keeps it, since that chain stays ahead of Docker's own rules.
    """
    return _Writer(plan, world).chains(forward)


def mark_of(plan: Plan, world: WorldName) -> str:
    """Give the prefix by which a denied packet tells whose it is."""
    return f"{plan.mark} {world}"


class _Writer:
    def __init__(self, plan: Plan, world: WorldName) -> None:
        self._plan = plan
        self._world = world
        self._permissions = permissions(plan, world)
        self._deny = self._name("DENY")

    def chains(self, forward: str) -> tuple[Chain, ...]:
        tables = [
            self._chain("DENY", self._denials()),
            self._chain("EDGE", self._edge()),
            *(self._chain(suffix, rules) for suffix, rules in self._destinations()),
            *(self._chain(suffix, rules) for suffix, rules in self._exits()),
            self._chain("FROM", self._from_services()),
            self._chain("INTO", self._from_outside()),
            self._chain("HOST", self._from_host()),
            self._chain("INPUT", self._to_host(), "INPUT"),
            self._chain("OUTPUT", self._each_bridge("-o", "HOST", "this host asks"), "OUTPUT"),
            self._chain(
                "FORWARD",
                (
                    *self._from_hosts(),
                    *self._each_bridge("-i", "FROM", "a service asks"),
                    *self._each_bridge("-o", "INTO", "the outside asks"),
                ),
                forward,
            ),
        ]
        # Without a flow of the world's, nothing leads to the edge.
        return tuple(one for one in tables if one.rules)

    def _name(self, suffix: str) -> str:
        return names.chain(self._plan.instance, suffix, self._world)

    def _chain(
        self, suffix: str, rules: Iterator[Rule] | tuple[Rule, ...], builtin: str = ""
    ) -> Chain:
        return Chain(self._name(suffix), builtin, tuple(rules))

    def _rule(self, match: str, target: str, sentence: str, why: str = "") -> Rule:
        comment = quoted(f"{self._plan.mark} {why}".rstrip())
        start = f"{match} " if match else ""
        return Rule(f"{start}-m comment --comment {comment} -j {target}", sentence)

    def _bridge(self, segment: Segment) -> str:
        return segment.bridge if self._world == "net" else segment.docker_bridge

    def _bridges(self) -> tuple[str, ...]:
        return tuple(self._bridge(segment) for segment in self._plan.segments)

    def _each_bridge(self, way: str, target: str, why: str) -> tuple[Rule, ...]:
        return tuple(
            self._rule(f"{way} {bridge}", self._name(target), f"{why}: {bridge}", why)
            for bridge in self._bridges()
        )

    def _from_hosts(self) -> Iterator[Rule]:
        """Take what another host asks by the tunnel for what it is: from outside."""
        if self._plan.vtep is None or self._world != "net":
            return
        for segment in self._plan.segments:
            tunnel = self._plan.vtep.tunnel(segment.name).link
            yield self._rule(
                f"-s {self._plan.vtep.underlay} -i {segment.bridge}"
                f" -m physdev --physdev-in {tunnel}",
                self._name("INTO"),
                f"another host asks: {segment.bridge}",
                "a host asks",
            )

    def _denials(self) -> Iterator[Rule]:
        prefix = quoted(mark_of(self._plan, self._world))
        log = f"NFLOG --nflog-prefix {prefix} --nflog-group {NFLOG_GROUP}"
        yield self._rule(_NFLOG_LIMIT, log, "what is denied is told to invoke policy.drops", "told")
        yield self._rule("", "DROP", "everything that is not declared is denied", "denied")

    def _edge(self) -> Iterator[Rule]:
        if not self._worlds_own():
            return
        if rate_limit := self._plan.rate_limit:
            # A table of this name that is still in use keeps its rate: another rate, another name.
            limit = f"{rate_limit.rate_per_s}-{rate_limit.burst}"
            yield self._rule(
                f"-m hashlimit --hashlimit-above {rate_limit.rate_per_s}/sec "
                f"--hashlimit-burst {rate_limit.burst} --hashlimit-mode srcip "
                f"--hashlimit-name {self._name('EDGE')}-{limit}",
                self._deny,
                f"one client may open {rate_limit.rate_per_s} connections a second, "
                f"{rate_limit.burst} at once (edge)",
                "too many",
            )
        yield self._rule("", "ACCEPT", "what the world may reach is open to it", "the edge")

    def _worlds_own(self) -> tuple[Permission, ...]:
        return tuple(one for one in self._permissions if one.source == "world")

    def _inner(self) -> dict[tuple[str, str, int], list[Permission]]:
        """Gather what services may ask of services: by destination, protocol and port."""
        found: dict[tuple[str, str, int], list[Permission]] = {}
        services = {replica.service for replica in self._plan.replicas}
        for one in self._permissions:
            if one.source in services and one.destination in services:
                found.setdefault((one.destination, one.protocol, one.port), []).append(one)
        return found

    def _suffix(self, service: str, protocol: str, port: int) -> str:
        own = self._plan.replicas_of(service)[0].port
        return f"TO-{service}" + ("" if (protocol, port) == ("tcp", own) else f"-{protocol}-{port}")

    def _destinations(self) -> Iterator[tuple[str, Iterator[Rule]]]:
        for (service, protocol, port), found in self._inner().items():
            yield self._suffix(service, protocol, port), self._sources(service, found)

    def _sources(self, service: str, found: list[Permission]) -> Iterator[Rule]:
        segment = self._plan.replicas_of(service)[0].segment
        for one in found:
            for replica in self._plan.replicas_of(one.source):
                yield self._rule(
                    f"-s {self._source(replica, segment)}/32",
                    "ACCEPT",
                    one.sentence,
                    f"{replica.name} to {service}",
                )

    def _source(self, replica: Replica, segment: str) -> str:
        """Give the address that a replica asks from: in Docker, its own on that network."""
        if self._world == "net":
            return str(replica.address)
        return next(str(one.address) for one in replica.attachments if one.segment == segment)

    def _exits(self) -> Iterator[tuple[str, Iterator[Rule]]]:
        for suffix, egress in self._egresses().items():
            yield suffix, self._ports(egress)

    def _egresses(self) -> dict[str, Egress]:
        """Name each set of ports that some service may go out to."""
        found: dict[Egress, str] = {}
        for replica in self._plan.replicas:
            if replica.egress.tcp or replica.egress.udp:
                number = len(found) + 1
                found.setdefault(replica.egress, "OUT" if number == 1 else f"OUT-{number}")
        return {suffix: egress for egress, suffix in found.items()}

    def _ports(self, egress: Egress) -> Iterator[Rule]:
        for protocol in ("tcp", "udp"):
            ports = egress.ports(protocol)
            if not ports:
                continue
            listed = ",".join(str(port) for port in ports)
            match = (
                f"-m multiport --dports {listed}"
                if len(ports) > 1
                else (f"-m {protocol} --dport {listed}")
            )
            yield self._rule(
                f"-p {protocol} {match}",
                "ACCEPT",
                f"out to {protocol} port {listed.replace(',', ', ')} (egress)",
                "out",
            )

    def _dispatch(
        self, service: str, protocol: str, port: int, target: str, sentence: str, state: str = ""
    ) -> Iterator[Rule]:
        """Lead to the target what asks a service; `state` where no other service asks.

        Peers use a replica's first address. An engine leads from a published port to whichever
        of a container's addresses it likes: from there each is open.
        """
        for replica in self._plan.replicas_of(service):
            own = [address for _, address in addresses(replica, self._world)]
            for address in own if state else own[:1]:
                where = f"-d {address}/32 -p {protocol} -m {protocol} --dport {port}"
                where += f" -m conntrack --ctstate {state}" if state else ""
                yield self._rule(where, target, sentence, f"to {replica.name}")

    def _from_services(self) -> Iterator[Rule]:
        yield self._rule(_REPLIES, "ACCEPT", "replies to what was permitted pass", "replies")
        for service, protocol, port in self._inner():
            target = self._name(self._suffix(service, protocol, port))
            yield from self._dispatch(
                service,
                protocol,
                port,
                target,
                f"who asks {service} for {protocol} port {port} is looked up in {target}",
            )
        if exits := self._egresses():
            yield from self._not_out()
            names = {egress: suffix for suffix, egress in exits.items()}
            for replica in self._plan.replicas:
                if replica.egress in names:
                    yield from self._exit(replica, self._name(names[replica.egress]))
        yield self._rule("", self._deny, "nothing else that a service asks passes", "the rest")

    def _not_out(self) -> Iterator[Rule]:
        """Keep egress out of our own segments and of foreign links."""
        caught: set[str] = set()
        for pattern in FOREIGN_LINKS:
            ours = [one for one in self._bridges() if one.startswith(pattern.removesuffix("+"))]
            caught |= set(ours)
            also = f", and nothing else between services on {' and '.join(ours)}" if ours else ""
            yield self._rule(
                f"-o {pattern}",
                self._deny,
                f"egress does not lead into {pattern} of other software{also}",
                "not out",
            )
        for bridge in self._bridges():
            if bridge not in caught:
                yield self._rule(
                    f"-o {bridge}",
                    self._deny,
                    f"nothing else between services on {bridge}",
                    "between services",
                )

    def _exit(self, replica: Replica, target: str) -> Iterator[Rule]:
        addresses = (
            [replica.address]
            if self._world == "net"
            else [one.address for one in replica.attachments]
        )
        for address in addresses:
            yield self._rule(
                f"-s {address}/32",
                target,
                f"where {replica.name} may go out to is in {target}",
                f"{replica.name} out",
            )

    def _from_outside(self) -> Iterator[Rule]:
        yield self._rule(_REPLIES, "ACCEPT", "replies from outside pass", "replies")
        state = "NEW" if self._world == "net" else "DNAT"  # a container is reached by its port
        for one in self._worlds_own():
            if self._world == "net" or one.destination in self._published():
                yield from self._dispatch(
                    one.destination, one.protocol, one.port, self._name("EDGE"), one.sentence, state
                )
        yield self._rule("", self._deny, "nothing else from outside passes", "the rest")

    def _published(self) -> set[str]:
        """Name the services with a port that other machines can turn to: not this host's alone."""
        doors = (one for one in self._plan.published_ports if one.world == self._world)
        return {
            self._plan.replica(one.replica).service for one in doors if not one.bind.is_loopback
        }

    def _from_host(self) -> Iterator[Rule]:
        yield self._rule(_REPLIES, "ACCEPT", "replies and what goes on pass", "replies")
        for one in self._worlds_own():
            yield from self._dispatch(
                one.destination, one.protocol, one.port, self._name("EDGE"), one.sentence, "NEW"
            )
        asked = {
            (flow.destination, flow.protocol, flow.port)
            for flow in flows_in(self._plan, self._world)
            if flow.source == "world"
        }
        for one in self._permissions:
            if one.source == "host" and (one.destination, one.protocol, one.port) not in asked:
                yield from self._dispatch(
                    one.destination, one.protocol, one.port, "ACCEPT", one.sentence, "NEW"
                )
        yield self._rule("", self._deny, "nothing else that this host asks passes", "the rest")

    def _to_host(self) -> Iterator[Rule]:
        asked = {
            segment
            for one in self._permissions
            if one.source in {"world", "host"}
            for segment, _ in addresses(self._plan.replicas_of(one.destination)[0], self._world)
        }
        for segment in self._plan.segments:
            bridge = self._bridge(segment)
            if segment.name in asked:
                yield self._rule(
                    f"-i {bridge} {_REPLIES}", "ACCEPT", "replies to this host pass", "replies"
                )
            yield self._rule(
                f"-i {bridge}",
                self._deny,
                f"no service turns to this host: {bridge}",
                "not to the host",
            )
