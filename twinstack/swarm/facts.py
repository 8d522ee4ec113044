"""What there is, as frozen facts: hosts, engines, members and services. Nothing here asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: A node's place in a cluster, as its own engine tells it.
Membership = Literal["none", "this cluster", "another"]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A host and its engine. `lacks` names the wanted images that the engine has not.

    `identity` is the engine's own as a member of a cluster, "" in none.
    """

    host: bool = False
    engine: bool = False
    member: Membership = "none"
    lacks: tuple[str, ...] = ()
    identity: str = ""


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """A node as the manager sees it."""

    identity: str
    name: str
    manager: bool
    ready: bool
    address: str


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task that Swarm wants to run. `slot` is 0 for one of a service that runs on every node.

    `current`: it is of its service's definition of now, not of one that is being replaced.
    """

    service: str
    slot: int
    node: str
    state: str
    wanted: str
    addresses: tuple[str, ...]
    detail: str
    container: str
    current: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. `deployed` maps each service of ours to the digest of the file it is from."""

    nodes: Mapping[str, NodeFacts]
    members: tuple[MemberFacts, ...] = ()
    deployed: Mapping[str, str] | None = None
    tasks: tuple[TaskFacts, ...] = ()
    surplus: tuple[str, ...] = ()
    closed: frozenset[str] = frozenset()
    files: bool = False
