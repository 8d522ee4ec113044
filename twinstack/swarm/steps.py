"""What `swarm.up` does, as a list decided from what is wanted and the facts; pure.

Steps of one phase do not need each other and are taken together; after a phase more is known (an
engine that has come up tells its images), so the rest is decided anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from twinstack.swarm.facts import Facts, NodeFacts
from twinstack.swarm.nodes import Node

Kind = Literal["node", "member", "hosts", "engine", "cluster", "images", "doors", "files", "stack"]
Act = Literal[
    "remove", "make", "start", "init", "leave", "join", "forget", "load", "close", "write", "deploy"
]
#: The order of the phases; steps of one pair are taken together. A node that joins is given tasks
#: at once: its images are there before.
PHASES: tuple[tuple[Kind, Act], ...] = (
    ("node", "remove"),
    ("hosts", "make"),
    ("engine", "start"),
    ("images", "load"),
    ("doors", "close"),
    ("cluster", "leave"),
    ("cluster", "init"),
    ("node", "leave"),
    ("node", "join"),
    ("member", "forget"),
    ("files", "write"),
    ("stack", "deploy"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, why, and the command that it equals."""

    kind: Kind
    name: str
    act: Act
    reason: str
    command: str = ""

    @property
    def title(self) -> str:
        """Name the step; no two of a list have the same title."""
        return f"{self.kind} {self.name}: {self.act}" if self.name else f"{self.kind}: {self.act}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What there is to be. `images`: of each node, by name; `services`: each with its digest."""

    nodes: tuple[Node, ...]
    images: Mapping[str, tuple[str, ...]]
    services: frozenset[str]
    digest: str
    closed: bool

    @property
    def manager(self) -> Node:
        return self.nodes[0]


def up_steps(wanted: Wanted, facts: Facts) -> tuple[Step, ...]:
    """Decide what has to be done; () when all is as wanted. What is not known counts as absent."""
    found = [
        *_surplus(facts),
        *_nodes(wanted, facts),
        *_strays(wanted, facts),
        *_doors(wanted, facts),
        *_stack(wanted, facts),
    ]
    return tuple(sorted(found, key=lambda step: PHASES.index((step.kind, step.act))))


def first_phase(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Give the steps that are to be taken now, together."""
    return tuple(one for one in steps if (one.kind, one.act) == (steps[0].kind, steps[0].act))


def placed(node: Node, images: Mapping[str, bool]) -> tuple[str, ...]:
    """Choose the images (name → whether it stays on the manager) that a node may have to run."""
    return tuple(name for name, stays in sorted(images.items()) if node.manager or not stays)


def _surplus(facts: Facts) -> Iterator[Step]:
    for name in facts.surplus:
        yield Step("node", name, "remove", "is declared no longer", f"docker node rm -f {name}")


def _nodes(wanted: Wanted, facts: Facts) -> Iterator[Step]:
    states = {node.name: facts.nodes.get(node.name, NodeFacts()) for node in wanted.nodes}
    lacking = [name for name, state in states.items() if not state.host]
    if lacking:
        yield Step("hosts", "", "make", f"{', '.join(lacking)}: not there", "ip netns add …")
    managed = states[wanted.manager.name].member == "this cluster"
    for node in wanted.nodes:
        state = states[node.name]
        if not state.engine:
            yield Step(
                "engine",
                node.name,
                "start",
                "does not answer",
                f"nsenter --net={node.namespace} dockerd …",
            )
        images = state.lacks if state.engine else wanted.images[node.name]
        if images:
            yield Step(
                "images",
                node.name,
                "load",
                f"lacks {', '.join(images)}",
                f"docker save … | docker -H {node.place.url} load",
            )
        if node.manager and state.member == "another":
            yield Step("cluster", "", "leave", "manages none", "docker swarm leave --force")
        if node.manager and not managed:
            yield Step(
                "cluster",
                "",
                "init",
                "is in none",
                f"docker swarm init --advertise-addr {node.address} …",
            )
        elif not node.manager:
            yield from _membership(wanted, node, state, managed)


def _membership(wanted: Wanted, node: Node, state: NodeFacts, managed: bool) -> Iterator[Step]:
    if state.member == "another" and managed:
        yield Step("node", node.name, "leave", "is in another cluster", "docker swarm leave -f")
    if state.member != "this cluster":
        yield Step(
            "node",
            node.name,
            "join",
            "is in no cluster of ours",
            f"docker swarm join --token … {wanted.manager.address}:2377",
        )


def _strays(wanted: Wanted, facts: Facts) -> Iterator[Step]:
    """Let go of members that are lost for good: of another host, or of an engine that is another.

    One whose engine does not answer may be that engine's: it is told once that is started.
    """
    for member in facts.members:
        state = facts.nodes.get(member.name, NodeFacts())
        known = member.name in {node.name for node in wanted.nodes}
        if not member.ready and (not known or (state.engine and state.identity != member.identity)):
            yield Step(
                "member",
                member.identity,
                "forget",
                f"{member.name} is no longer it",
                f"docker node rm --force {member.identity}",
            )


def _doors(wanted: Wanted, facts: Facts) -> Iterator[Step]:
    if not wanted.closed:
        return
    for node in wanted.nodes:
        if node.name not in facts.closed:
            yield Step(
                "doors",
                node.name,
                "close",
                "a port is the host's alone",
                "iptables -t raw -I PREROUTING ! -i lo …",
            )


def _stack(wanted: Wanted, facts: Facts) -> Iterator[Step]:
    if not facts.files:
        yield Step("files", "", "write", "are not there, or not as rendered")
    deployed = facts.deployed or {}
    if frozenset(deployed) != wanted.services:
        why = "is not there" if not deployed else "has other services"
    elif set(deployed.values()) != {wanted.digest}:
        why = "is not as rendered"
    else:
        return
    yield Step("stack", "", "deploy", why, "docker stack deploy --resolve-image never …")
