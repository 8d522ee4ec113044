"""What of ours is to go, as a list of removals; pure.

`down` removes everything that carries our mark, `up` what carries it and is declared no longer:
both are `removals(owned, steps)`, the former without steps. The list is in the order of doing:
processes go before what they run in. `teardown` holds the effects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twinstack.linux.links import LinkIdentity
from twinstack.namespaces.facts import OwnedObjects
from twinstack.namespaces.process_steps import (
    Cgroup,
    InstanceDirectory,
    InstanceFile,
    ReplicaProcess,
    Supervisor,
)
from twinstack.namespaces.steps import NetStep, Rules, Sysctl, created
from twinstack.namespaces.vxlan_steps import HostMounts
from twinstack.reconcile import Described

_LINK_WORDS = {"bridge": "bridge", "vxlan": "tunnel"}


class Removal(Described):
    """An object of ours that is to go."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class EndProgram(Removal):
    """End a replica's process and remove it from the supervisor."""

    replica: str
    NAME = "process {0.replica}"
    COMMANDS = ("supervisorctl stop {0.replica}", "supervisorctl remove {0.replica}")


@dataclass(frozen=True, slots=True)
class EndSupervisor(Removal):
    """End the supervisor and, in an orderly way, everything that it runs."""

    NAME = "supervisor"
    COMMANDS = ("supervisorctl shutdown",)


@dataclass(frozen=True, slots=True)
class RemoveCgroup(Removal):
    """Kill what is left in a replica's cgroup, and remove it."""

    replica: str
    instance: str
    NAME = "cgroup {0.replica}"
    COMMANDS = ("rmdir /sys/fs/cgroup/*/twinstack/{0.instance}/{0.replica}",)


@dataclass(frozen=True, slots=True)
class RemoveRules(Removal):
    """Remove chains of ours, each with its table, and the jumps that lead to them; all at once."""

    chains: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        tables = dict.fromkeys(table for table, _ in self.chains)
        return f"rules in {', '.join(tables)} ({len(self.chains)} chains)"

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(
            f"iptables -t {table} {action} {chain}"
            for action in ("-F", "-X")
            for table, chain in self.chains
        )


@dataclass(frozen=True, slots=True)
class RemoveTable(Removal):
    """Remove an iptables table that was unused before us, if it is unused now."""

    table: str
    NAME = "table {0.table}"
    COMMANDS = ("nft delete table ip {0.table}",)


@dataclass(frozen=True, slots=True)
class RemoveLinks(Removal):
    """Remove links of ours, all at once: veth pairs with their other ends, and bridges."""

    links: tuple[LinkIdentity, ...]
    group: int
    together: bool  # the whole link group goes, in one request

    @property
    def name(self) -> str:
        named = [
            f"{_LINK_WORDS[link.kind]} {link.name}"
            for link in self.links
            if link.kind in _LINK_WORDS
        ]
        pairs = len(self.links) - len(named)
        return ", ".join([*named, *([f"{pairs} veth pairs"] if pairs else [])])

    @property
    def commands(self) -> tuple[str, ...]:
        if self.together:
            return (f"ip link delete group {self.group}",)
        return tuple(f"ip link delete {link.name}" for link in self.links)


@dataclass(frozen=True, slots=True)
class RemoveNamespace(Removal):
    """Unpin a namespace of ours."""

    namespace: str
    NAME = "namespace {0.namespace}"
    COMMANDS = ("ip netns delete {0.namespace}",)


@dataclass(frozen=True, slots=True)
class DetachPins(Removal):
    """Unpin all namespaces at once: these, and all of them are ours."""

    namespaces: tuple[str, ...]
    NAME = "pins of every namespace"
    COMMANDS = ("umount --lazy /run/netns",)


@dataclass(frozen=True, slots=True)
class RemovePin(Removal):
    """Remove the empty file that an interrupted `up` left in place of a namespace."""

    namespace: str
    NAME = "pin {0.namespace}"
    COMMANDS = ("rm /run/netns/{0.namespace}",)


@dataclass(frozen=True, slots=True)
class UnmountPins(Removal):
    """Undo our mount of /run/netns, if nothing is left in it."""

    NAME = "mount /run/netns"
    COMMANDS = ("umount /run/netns", "rmdir /run/netns")


@dataclass(frozen=True, slots=True)
class ReleaseMounts(Removal):
    """Unpin a host's own mounts; what is pinned in there goes with them."""

    namespace: str
    instance: str
    NAME = "mounts {0.namespace}"
    COMMANDS = (
        "umount /run/twinstack/{0.instance}/mounts/{0.namespace}",
        "rm /run/twinstack/{0.instance}/mounts/{0.namespace}",
    )


@dataclass(frozen=True, slots=True)
class RemoveMounts(Removal):
    """Remove the directory in which hosts' mounts are pinned, and what is still pinned there."""

    instance: str
    NAME = "directory of the hosts' mounts"
    COMMANDS = (
        "umount --lazy /run/twinstack/{0.instance}/mounts",
        "rmdir /run/twinstack/{0.instance}/mounts",
    )


@dataclass(frozen=True, slots=True)
class RestoreSysctl(Removal):
    """Release a sysctl of the host; the last holder restores its former value."""

    key: str
    NAME = "sysctl {0.key}"
    COMMANDS = ("sysctl -w {0.key}=<its former value>",)


@dataclass(frozen=True, slots=True)
class RemoveFile(Removal):
    """Remove a file or directory of ours in the run directory."""

    path: str
    NAME = "file {0.path}"
    COMMANDS = ("rm -r {0.path}",)


def removals(
    owned: OwnedObjects, steps: Sequence[NetStep] = (), *, group: int
) -> tuple[Removal, ...]:
    """List what of ours no step declares; without steps, all of it."""
    return tuple(_removals(owned, steps, group))


def _removals(owned: OwnedObjects, steps: Sequence[NetStep], group: int) -> Iterator[Removal]:
    supervised = any(isinstance(step, Supervisor) for step in steps)
    if owned.supervisor and not supervised:
        yield EndSupervisor()
    elif owned.supervisor:
        programs = {step.replica for step in steps if isinstance(step, ReplicaProcess)}
        yield from map(EndProgram, sorted(owned.programs - programs))
    groups = {step.replica for step in steps if isinstance(step, Cgroup)}
    yield from (RemoveCgroup(name, owned.instance) for name in owned.groups if name not in groups)
    declared = {(step.hook.table, step.hook.chain) for step in steps if isinstance(step, Rules)}
    present = [(table, chain) for table, chains in owned.chains.items() for chain in chains]
    if surplus := tuple(chain for chain in present if chain not in declared):
        yield RemoveRules(surplus)
    objects = set(created(steps))
    yield from _links(owned, {name for kind, name in objects if kind != "namespace"}, group)
    kept = {table for table, _ in declared}
    yield from (RemoveTable(table) for table in owned.tables if table not in kept)
    # Restoring a sysctl needs the lock that dying namespaces hold for long: it comes before.
    held = {step.key for step in steps if isinstance(step, Sysctl) and step.held}
    yield from map(RestoreSysctl, sorted(owned.held - held))
    mounts = {step.namespace for step in steps if isinstance(step, HostMounts)}
    surplus_mounts = (name for name in owned.mounts if name not in mounts)
    yield from (ReleaseMounts(name, owned.instance) for name in surplus_mounts)
    if owned.mounts_kept and not mounts:
        yield RemoveMounts(owned.instance)
    yield from _namespaces(owned, {name for kind, name in objects if kind == "namespace"})
    yield from _files(owned, steps, supervised)


def _links(owned: OwnedObjects, declared: set[str], group: int) -> Iterator[Removal]:
    surplus = tuple(link for link in owned.links if link.name not in declared)
    if surplus:
        together = len(surplus) == len(owned.links) and not owned.group_is_shared
        yield RemoveLinks(surplus, group, together)


def _namespaces(owned: OwnedObjects, declared: set[str]) -> Iterator[Removal]:
    if owned.alone and owned.namespaces and not declared:
        yield DetachPins((*owned.namespaces, *owned.pins))
    yield from (RemoveNamespace(name) for name in owned.namespaces if name not in declared)
    yield from (RemovePin(name) for name in owned.pins if name not in declared)
    if owned.mounted_pins and not declared:
        yield UnmountPins()


def _files(owned: OwnedObjects, steps: Sequence[NetStep], supervised: bool) -> Iterator[Removal]:
    declared = {step.path for step in steps if isinstance(step, InstanceFile | InstanceDirectory)}
    gone: set[str] = set()
    spread = any(isinstance(step, HostMounts) for step in steps)
    for path in owned.files:
        directory, _, name = path.rpartition("/")
        if directory in gone or path in declared:
            continue
        if spread and name == "overlay.json":  # the overlay keeps its record itself
            continue
        contains_declared = any(kept.startswith(f"{path}/") for kept in declared)
        if not contains_declared and not (supervised and name.startswith("supervis")):
            gone.add(path)
            yield RemoveFile(path)
