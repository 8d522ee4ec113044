"""What can be there of a cluster, as observed: hosts, engines, members, services; only data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

#: Whether a node's engine is in the cluster. "unknown": the manager lists no members.
Membership = Literal["none", "this cluster", "another", "unknown"]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A host and its engine."""

    host: bool = False  # its namespace carries our mark and its address
    engine: bool = False  # it answers
    member: Membership = "none"
    identity: str = ""  # the engine's own node ID, "" in no cluster
    images: Mapping[str, str] = field(default_factory=dict)  # tag → image ID
    raw_rules: tuple[str, ...] = ()  # iptables-save -t raw, line by line


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """A node as the manager lists it."""

    identity: str
    name: str
    manager: bool
    ready: bool
    address: str


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task that Swarm wants to run."""

    service: str
    slot: int  # 0 for a task of a global service
    node: str
    state: str
    desired: str
    addresses: tuple[str, ...]
    detail: str
    container: str  # its ID, "" before there is one
    current: bool  # of the service's present definition, not of one that is being replaced


@dataclass(frozen=True, slots=True)
class SwarmFacts:
    """The whole cluster."""

    nodes: Mapping[str, NodeFacts]
    members: tuple[MemberFacts, ...] = ()
    deployed: Mapping[str, str] = field(default_factory=dict)  # service → digest of its stack file
    tasks: tuple[TaskFacts, ...] = ()
    surplus: tuple[str, ...] = ()  # nodes with data, state or a host that are declared no longer
    files: Mapping[Path, str] = field(default_factory=dict)  # rendered file → its text

    def node(self, name: str) -> NodeFacts:
        return self.nodes.get(name, NodeFacts())
