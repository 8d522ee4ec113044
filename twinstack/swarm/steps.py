"""The steps of `swarm.up` in the order of doing, and what goes before them; pure.

Neighbours of one kind do not depend on each other: `apply` takes them together, then observes
again, since more is known by then (an engine that has started lists its images).
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from twinstack.compose.render import image_name
from twinstack.linux.iptables import quoted
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.reconcile import Change, diff
from twinstack.swarm.exposure import address_pool, host_only_ports
from twinstack.swarm.facts import SwarmFacts
from twinstack.swarm.nodes import SwarmNode, SwarmPaths, pin, stack_name
from twinstack.swarm.render import deployed_digest, services


@dataclass(frozen=True, slots=True)
class RemoveNode:
    """Remove a node that is declared no longer: its engine, data and host."""

    node: str
    instance: str
    manager: SwarmNode

    @property
    def name(self) -> str:
        return f"node {self.node}"

    @property
    def commands(self) -> tuple[str, ...]:
        namespace = pin(self.instance, self.node).name
        return (f"docker node rm --force {self.node}", f"ip netns delete {namespace}")


@dataclass(frozen=True, slots=True)
class ForgetMember:
    """Remove a member that will not come back from the manager's list."""

    identity: str
    manager: SwarmNode

    @property
    def name(self) -> str:
        return f"member {self.identity}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"docker node rm --force {self.identity}",)


@dataclass(frozen=True, slots=True)
class SimulatedHosts:
    """Every host: a network namespace, and its veth pair to the switch."""

    instance: str
    nodes: tuple[SwarmNode, ...]
    underlay: IPv4Network
    name: str = "hosts"

    @property
    def commands(self) -> tuple[str, ...]:
        link = f"ip -n {pin(self.instance, 'switch').name} link add"
        spaces = [node.namespace.name for node in self.nodes]
        return (
            *(f"ip netns add {space}" for space in spaces),
            *(f"{link} {space} type veth peer name eth0 netns {space}" for space in spaces),
        )

    def difference(self, facts: SwarmFacts) -> str | None:
        absent = [node.name for node in self.nodes if not facts.node(node.name).host]
        return f"{', '.join(absent)}: not there" if absent else None


@dataclass(frozen=True, slots=True)
class NodeEngine:
    """A node's dockerd."""

    node: SwarmNode

    @property
    def name(self) -> str:
        return f"engine {self.node.name}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"{shlex.join(self.node.enter)} dockerd --host {self.node.engine.url} …",)

    def difference(self, facts: SwarmFacts) -> str | None:
        return None if facts.node(self.node.name).engine else "does not answer"


@dataclass(frozen=True, slots=True)
class NodeImages:
    """The images that a node may have to run."""

    node: SwarmNode
    instance: str
    source_url: str  # the engine they are copied from
    images: Mapping[str, str]  # tag → image ID, "" for one that is not built

    @property
    def name(self) -> str:
        return f"images {self.node.name}"

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
class HostOnlyPorts:
    """Rules that drop what comes from elsewhere to ports for the host itself alone."""

    node: SwarmNode
    rules: tuple[str, ...]  # as iptables-save prints them, without "-A "

    @property
    def name(self) -> str:
        return f"rules {self.node.name}"

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(f"iptables -t raw -I {rule}" for rule in self.rules)

    def missing(self, present: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(rule for rule in self.rules if f"-A {rule}" not in present)

    def difference(self, facts: SwarmFacts) -> str | None:
        missing = self.missing(facts.node(self.node.name).raw_rules)
        return "other hosts reach a port that is this host's alone" if missing else None


@dataclass(frozen=True, slots=True)
class LeaveCluster:
    """No membership of another cluster."""

    node: SwarmNode

    @property
    def name(self) -> str:
        return f"other cluster {self.node.name}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"docker --host {self.node.engine.url} swarm leave --force",)

    def difference(self, facts: SwarmFacts) -> str | None:
        other = facts.node(self.node.name).member == "another"
        return "is to be left first" if other else None


@dataclass(frozen=True, slots=True)
class InitCluster:
    """A cluster that the manager manages."""

    manager: SwarmNode
    pool: str  # for networks that declare no subnet
    name: str = "cluster"

    @property
    def commands(self) -> tuple[str, ...]:
        options = f"--advertise-addr {self.manager.address} --default-addr-pool {self.pool}"
        return (f"docker swarm init {options} --dispatcher-heartbeat 2s",)

    def difference(self, facts: SwarmFacts) -> str | None:
        managed = facts.node(self.manager.name).member == "this cluster"
        return None if managed else f"{self.manager.name} manages none"


@dataclass(frozen=True, slots=True)
class JoinCluster:
    """A worker's membership."""

    node: SwarmNode
    manager: SwarmNode

    @property
    def name(self) -> str:
        return f"membership {self.node.name}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"docker swarm join --token … {self.manager.address}:2377",)

    def difference(self, facts: SwarmFacts) -> str | None:
        member = facts.node(self.node.name).member == "this cluster"
        return None if member else "is not in the cluster"


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """A file that `docker stack deploy` reads."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return f"file {self.path}"

    @property
    def commands(self) -> tuple[str, ...]:
        return ()

    def difference(self, facts: SwarmFacts) -> str | None:
        present = facts.files.get(self.path)
        if present == self.text:
            return None
        return "is absent" if present is None else "is not as rendered"


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """The services, deployed from the stack file of this digest."""

    instance: str
    manager: SwarmNode
    services: frozenset[str]
    digest: str
    name: str = "stack"

    @property
    def arguments(self) -> tuple[str, ...]:
        file = SwarmPaths(self.instance).stack_file
        options = f"--resolve-image never --prune --compose-file {file}"
        return (*f"stack deploy {options}".split(), stack_name(self.instance))

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"docker {' '.join(self.arguments)}",)

    def difference(self, facts: SwarmFacts) -> str | None:
        if frozenset(facts.deployed) != self.services:
            return "has other services" if facts.deployed else "is absent"
        return None if set(facts.deployed.values()) == {self.digest} else "is not as rendered"


SwarmStep = (
    SimulatedHosts
    | NodeEngine
    | NodeImages
    | HostOnlyPorts
    | LeaveCluster
    | InitCluster
    | JoinCluster
    | RenderedFile
    | DeployedStack
)
SwarmRemoval = RemoveNode | ForgetMember
SwarmChange = Change[SwarmRemoval] | Change[SwarmStep]


def swarm_steps(
    plan: Plan,
    underlay: IPv4Network,
    nodes: tuple[SwarmNode, ...],
    source_url: str,
    image_ids: Mapping[str, str],
    files: Mapping[Path, str],
) -> tuple[SwarmStep, ...]:
    """List what must be there. The first node is the manager.

    A node gets its images before it joins, because it is given tasks at once.
    """
    instance, (manager, *workers) = plan.instance, nodes
    images = {node.name: images_of(plan, node, image_ids) for node in nodes}
    rules = tuple(host_only_rule(instance, port) for port in host_only_ports(plan))
    return (
        SimulatedHosts(instance, nodes, underlay),
        *map(NodeEngine, nodes),
        *(NodeImages(node, instance, source_url, images[node.name]) for node in nodes),
        *(HostOnlyPorts(node, rules) for node in nodes if rules),
        LeaveCluster(manager),
        InitCluster(manager, address_pool(plan, underlay)),
        *map(LeaveCluster, workers),
        *(JoinCluster(worker, manager) for worker in workers),
        *(RenderedFile(path, text) for path, text in files.items()),
        DeployedStack(
            instance,
            manager,
            frozenset(replica.service for replica in services(plan)),
            deployed_digest(files[SwarmPaths(instance).stack_file]),
        ),
    )


def images_of(plan: Plan, node: SwarmNode, image_ids: Mapping[str, str]) -> dict[str, str]:
    """Choose the images that a node may have to run: stores run on the manager alone."""
    return {
        tag: image_ids.get(tag, "")
        for replica in services(plan)
        if node.manager or not replica.is_store
        for tag in [image_name(plan, replica.service)]
    }


def host_only_rule(instance: str, port: int) -> str:
    """Give the rule that keeps a published port for the host, as Compose's 127.0.0.1: does."""
    return (
        f"PREROUTING ! -i lo -p tcp -m tcp --dport {port} -m addrtype --dst-type LOCAL"
        f" -m comment --comment {quoted(names.mark(instance))} -j DROP"
    )


def swarm_changes(steps: tuple[SwarmStep, ...], facts: SwarmFacts) -> tuple[SwarmChange, ...]:
    """List what is to be done; () when everything is as planned."""
    return (*_removals(steps, facts), *diff(steps, facts))


def _removals(steps: tuple[SwarmStep, ...], facts: SwarmFacts) -> Iterator[Change[SwarmRemoval]]:
    hosts = next(step for step in steps if isinstance(step, SimulatedHosts))
    manager, declared = hosts.nodes[0], {node.name for node in hosts.nodes}
    for name in facts.surplus:
        yield Change(RemoveNode(name, hosts.instance, manager), "is declared no longer")
    for member in facts.members:
        node = facts.node(member.name)
        # While a node's engine does not answer, the member may be that very engine.
        lost = member.name not in declared or (node.engine and node.identity != member.identity)
        if lost and not member.ready:
            forget = ForgetMember(member.identity, manager)
            yield Change(forget, f"{member.name} is another engine, or gone")


def first_phase(changes: tuple[SwarmChange, ...]) -> tuple[SwarmChange, ...]:
    """Give the changes to take now, together: the first run of neighbours of one kind."""
    kind = type(changes[0].step)
    return tuple(itertools.takewhile(lambda change: type(change.step) is kind, changes))
