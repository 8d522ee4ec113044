"""The steps of `swarm.up` in the order of doing, and what goes before them; pure.

Neighbours of one kind do not depend on each other: `apply` takes them together, then observes
again, since more is known by then (an engine that has started lists its images).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from twinstack.compose.render import image_name
from twinstack.linux.iptables import quoted
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.reconcile import UNDECLARED, Action, Change, Described, Step, diff
from twinstack.swarm.exposure import address_pool, host_only_ports
from twinstack.swarm.facts import SwarmFacts
from twinstack.swarm.nodes import SwarmNode, SwarmPaths, namespace_of, stack_name
from twinstack.swarm.render import deployed_digest, services


@dataclass(frozen=True, slots=True)
class SwarmAct(Described):
    """One act on a node, or on the whole cluster by way of its manager."""

    node: SwarmNode


@dataclass(frozen=True, slots=True)
class RemoveNode(SwarmAct):
    """Remove a node that is declared no longer: its engine, data and host."""

    manager: SwarmNode
    NAME = "node {0.node.name}"
    COMMANDS = ("docker node rm --force {0.node.name}",)


@dataclass(frozen=True, slots=True)
class ForgetMember(SwarmAct):
    """Have the manager forget a member that will not come back."""

    identity: str
    NAME = "member {0.identity}"
    COMMANDS = ("docker node rm --force {0.identity}",)


@dataclass(frozen=True, slots=True)
class SimulatedHosts(SwarmAct):
    """Create every host: a network namespace, and its veth pair to the switch."""

    nodes: tuple[SwarmNode, ...]
    underlay: IPv4Network
    NAME = "hosts"

    @property
    def commands(self) -> tuple[str, ...]:
        link = f"ip -n {namespace_of(self.node.instance, 'switch')} link add"
        spaces = {node.name: node.namespace.name for node in self.nodes}
        veth = "{} {} type veth peer name eth0 netns {}"
        pairs = (veth.format(link, host, space) for host, space in spaces.items())
        return (*(f"ip netns add {space}" for space in spaces.values()), *pairs)

    def difference(self, facts: SwarmFacts) -> str | None:
        absent = [node.name for node in self.nodes if not facts.node(node.name).host]
        return f"lacks {', '.join(absent)}" if absent else None


class NodeEngine(SwarmAct):
    """Start a node's dockerd."""

    NAME = "engine {0.node.name}"
    COMMANDS = ("nsenter --net={0.node.namespace} dockerd --host {0.node.engine.url} …",)

    def difference(self, facts: SwarmFacts) -> str | None:
        return None if facts.node(self.node.name).engine else "does not answer"


@dataclass(frozen=True, slots=True)
class NodeImages(SwarmAct):
    """Copy the images that a node may have to run."""

    source_url: str  # the engine they are copied from
    images: Mapping[str, str]  # tag → image ID, "" for one that is not built
    NAME = "images {0.node.name}"

    @property
    def commands(self) -> tuple[str, ...]:
        load = f"docker --host {self.node.engine.url} load"
        return (f"docker save {' '.join(self.images)} | {load}",)

    def lacking(self, present: Mapping[str, str]) -> tuple[str, ...]:
        """List the images that an engine with the present ones lacks, or has other content of."""
        wanted = self.images.items()
        return tuple(tag for tag, image in wanted if not image or present.get(tag) != image)

    def difference(self, facts: SwarmFacts) -> str | None:
        lacking = self.lacking(facts.node(self.node.name).images)
        return f"lacks {', '.join(lacking)}" if lacking else None


@dataclass(frozen=True, slots=True)
class HostOnlyPorts(SwarmAct):
    """Drop what comes from elsewhere to ports for the host itself alone."""

    rules: tuple[str, ...]  # as iptables-save prints them, without "-A "
    NAME = "rules {0.node.name}"

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(f"iptables -t raw -I {rule}" for rule in self.rules)

    def missing(self, present: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(rule for rule in self.rules if f"-A {rule}" not in present)

    def difference(self, facts: SwarmFacts) -> str | None:
        missing = self.missing(facts.node(self.node.name).raw_rules)
        return "other hosts reach a port that is this host's alone" if missing else None


class LeaveCluster(SwarmAct):
    """Leave another cluster."""

    NAME = "other cluster {0.node.name}"
    COMMANDS = ("docker --host {0.node.engine.url} swarm leave --force",)

    def difference(self, facts: SwarmFacts) -> str | None:
        other = facts.node(self.node.name).member == "another"
        return "is to be left first" if other else None


@dataclass(frozen=True, slots=True)
class InitCluster(SwarmAct):
    """Make the manager manage a cluster."""

    pool: str  # for networks that declare no subnet
    NAME = "cluster"
    _WHERE = "--advertise-addr {0.node.address} --default-addr-pool {0.pool}"
    COMMANDS = (f"docker swarm init {_WHERE} --dispatcher-heartbeat 2s",)

    def difference(self, facts: SwarmFacts) -> str | None:
        managed = facts.node(self.node.name).member == "this cluster"
        return None if managed else f"{self.node.name} manages none"


@dataclass(frozen=True, slots=True)
class JoinCluster(SwarmAct):
    """Join the manager's cluster as a worker."""

    manager: SwarmNode
    NAME = "membership {0.node.name}"
    COMMANDS = ("docker swarm join --token … {0.manager.address}:2377",)

    def difference(self, facts: SwarmFacts) -> str | None:
        member = facts.node(self.node.name).member == "this cluster"
        return None if member else "is not in the cluster"


@dataclass(frozen=True, slots=True)
class RenderedFile(SwarmAct):
    """Write a file that `docker stack deploy` reads."""

    path: Path
    text: str
    NAME = "file {0.path}"

    def difference(self, facts: SwarmFacts) -> str | None:
        present = facts.files.get(self.path)
        if present == self.text:
            return None
        return "is absent" if present is None else "is not as rendered"


@dataclass(frozen=True, slots=True)
class DeployedStack(SwarmAct):
    """Deploy the services from the stack file of this digest."""

    services: frozenset[str]
    digest: str
    NAME = "stack"

    @property
    def arguments(self) -> tuple[str, ...]:
        instance = self.node.instance
        options = f"--resolve-image never --prune --compose-file {SwarmPaths(instance).stack_file}"
        return (*f"stack deploy {options}".split(), stack_name(instance))

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"docker {' '.join(self.arguments)}",)

    def difference(self, facts: SwarmFacts) -> str | None:
        if frozenset(facts.deployed) != self.services:
            return "has other services" if facts.deployed else "is absent"
        return None if set(facts.deployed.values()) == {self.digest} else "is not as rendered"


SwarmStep = Step[SwarmFacts]


def swarm_steps(
    plan: Plan,
    underlay: IPv4Network,
    nodes: tuple[SwarmNode, ...],
    source_url: str,
    image_ids: Mapping[str, str],  # of services, where they are built
    files: Mapping[Path, str],
) -> tuple[SwarmStep, ...]:
    """List what must be there. The first node is the manager.

    A node gets its images before it joins, because it is given tasks at once.
    """
    manager, *workers = nodes
    rules = tuple(host_only_rule(plan.instance, port) for port in host_only_ports(plan))
    names = frozenset(replica.service for replica in services(plan))
    digest = deployed_digest(files[SwarmPaths(plan.instance).stack_file])
    return (
        SimulatedHosts(manager, nodes, underlay),
        *map(NodeEngine, nodes),
        *(NodeImages(node, source_url, images_of(plan, node, image_ids)) for node in nodes),
        *(HostOnlyPorts(node, rules) for node in nodes if rules),
        LeaveCluster(manager),
        InitCluster(manager, address_pool(plan, underlay)),
        *map(LeaveCluster, workers),
        *(JoinCluster(worker, manager) for worker in workers),
        *(RenderedFile(manager, path, text) for path, text in files.items()),
        DeployedStack(manager, names, digest),
    )


def images_of(plan: Plan, node: SwarmNode, image_ids: Mapping[str, str]) -> dict[str, str]:
    """Choose the images that a node may have to run: stores run on the manager alone."""
    return {
        image_name(plan, replica.service): image_ids.get(replica.service, "")
        for replica in services(plan)
        if node.manager or not replica.is_store
    }


def host_only_rule(instance: str, port: int) -> str:
    """Give the rule that keeps a published port for the host, as Compose's 127.0.0.1: does."""
    return (
        f"PREROUTING ! -i lo -p tcp -m tcp --dport {port} -m addrtype --dst-type LOCAL"
        f" -m comment --comment {quoted(names.mark(instance))} -j DROP"
    )


def swarm_changes(
    nodes: tuple[SwarmNode, ...], steps: tuple[SwarmStep, ...], facts: SwarmFacts
) -> tuple[Change[Action], ...]:
    """List what is to be done, removals first; () when everything is as planned."""
    return (*_removals(nodes, facts), *diff(steps, facts))


def _removals(nodes: tuple[SwarmNode, ...], facts: SwarmFacts) -> Iterator[Change[Action]]:
    manager, declared = nodes[0], {node.name for node in nodes}
    for name in facts.surplus:
        yield Change(RemoveNode(SwarmNode(manager.instance, name), manager), UNDECLARED)
    for member in facts.members:
        node = facts.node(member.name)
        # While a node's engine does not answer, the member may be that very engine.
        lost = member.name not in declared or (node.engine and node.identity != member.identity)
        if lost and not member.ready:
            reason = f"{member.name} is another engine, or gone"
            yield Change(ForgetMember(manager, member.identity), reason)


def first_phase(changes: tuple[Change[Action], ...]) -> tuple[Change[Action], ...]:
    """Give the changes to take now, together: the first run of neighbours of one kind."""
    kind = type(changes[0].step)
    return tuple(itertools.takewhile(lambda change: type(change.step) is kind, changes))
