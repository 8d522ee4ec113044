"""What of ours is to go, as a list of removals; pure.

`down` removes everything that carries our mark, `up` what carries it and is declared no longer:
both are `removals(owned, steps)`, the former without steps. The list is in the order of doing:
processes go before what they run in. `teardown` holds the effects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from twinstack.linux.links import LinkIdentity
from twinstack.namespaces.facts import MarkedObjects
from twinstack.namespaces.process_steps import (
    Cgroup,
    InstanceDirectory,
    InstanceFile,
    ReplicaProcess,
    Supervisor,
)
from twinstack.namespaces.steps import NetStep, Rules, Sysctl, created
from twinstack.namespaces.vxlan_steps import HostMounts
from twinstack.printable import counted

Kind = Literal[
    "faults",  # that a killed `chaos` left
    "process",  # and its program, which the supervisor forgets
    "supervisor",  # and, in an orderly way, everything that it runs
    "cgroup",  # and what is left in it
    "table",  # of iptables, unused before us, if it is unused now
    "sysctl",  # the last holder restores its former value
    "mounts",  # of a host; what is pinned in there goes with them
    "mounts directory",  # in which hosts' mounts are pinned, and what is still pinned there
    "namespace",
    "pin",  # an empty file that an interrupted `up` left in place of a namespace
    "pins mount",  # ours of /run/netns, if nothing is left in it
    "file",  # or directory, in the run directory
]
_MOUNTS = "/run/twinstack/{0.instance}/mounts"
#: Each kind's name and commands: templates over a removal's fields.
_TEMPLATES: Mapping[Kind, tuple[str, ...]] = {
    "faults": ("faults {0.target}", "rm /run/twinstack/{0.instance}/faults-net.json"),
    "process": (
        "process {0.target}",
        "supervisorctl stop {0.target}",
        "supervisorctl remove {0.target}",
    ),
    "supervisor": ("supervisor", "supervisorctl shutdown"),
    "cgroup": ("cgroup {0.target}", "rmdir /sys/fs/cgroup/*/twinstack/{0.instance}/{0.target}"),
    "table": ("table {0.target}", "nft delete table ip {0.target}"),
    "sysctl": ("sysctl {0.target}", "sysctl -w {0.target}=<its former value>"),
    "mounts": ("mounts {0.target}", f"umount {_MOUNTS}/{{0.target}}", f"rm {_MOUNTS}/{{0.target}}"),
    "mounts directory": (
        "directory of the hosts' mounts",
        f"umount --lazy {_MOUNTS}",
        f"rmdir {_MOUNTS}",
    ),
    "namespace": ("namespace {0.target}", "ip netns delete {0.target}"),
    "pin": ("pin {0.target}", "rm /run/netns/{0.target}"),
    "pins mount": ("mount /run/netns", "umount /run/netns", "rmdir /run/netns"),
    "file": ("file {0.target}", "rm -r {0.target}"),
}
_LINK_WORDS = {"bridge": "bridge", "vxlan": "tunnel"}


@dataclass(frozen=True, slots=True)
class RemoveObject:
    """Remove one object of ours."""

    kind: Kind
    target: str = ""  # its name, key or path
    instance: str = ""

    @property
    def name(self) -> str:
        return _TEMPLATES[self.kind][0].format(self)

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(command.format(self) for command in _TEMPLATES[self.kind][1:])


@dataclass(frozen=True, slots=True)
class RemoveRules:
    """Remove chains of ours, each with its table, and the jumps that lead to them; all at once."""

    chains: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        tables = dict.fromkeys(table for table, _ in self.chains)
        return f"rules in {', '.join(tables)} ({counted(len(self.chains), 'chain')})"

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(
            f"iptables -t {table} {action} {chain}"
            for action in ("-F", "-X")
            for table, chain in self.chains
        )


@dataclass(frozen=True, slots=True)
class RemoveLinks:
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
        return ", ".join([*named, *([counted(pairs, "veth pair")] if pairs else [])])

    @property
    def commands(self) -> tuple[str, ...]:
        if self.together:
            return (f"ip link delete group {self.group}",)
        return tuple(f"ip link delete {link.name}" for link in self.links)


@dataclass(frozen=True, slots=True)
class DetachPins:
    """Unpin all namespaces at once: these, and all of them are ours."""

    namespaces: tuple[str, ...]
    name: str = "pins of every namespace"
    commands: tuple[str, ...] = ("umount --lazy /run/netns",)


Removal = RemoveObject | RemoveRules | RemoveLinks | DetachPins


def removals(
    owned: MarkedObjects, steps: Sequence[NetStep] = (), *, group: int
) -> tuple[Removal, ...]:
    """List what of ours no step declares; without steps, all of it."""
    return tuple(_removals(owned, steps, group))


def _removals(owned: MarkedObjects, steps: Sequence[NetStep], group: int) -> Iterator[Removal]:
    def surplus(kind: Kind, present: Iterable[str], declared: set[str]) -> Iterator[Removal]:
        return (
            RemoveObject(kind, name, owned.instance) for name in present if name not in declared
        )

    if owned.faults:  # first: what is suspended ends only after a while, and is not healthy
        yield RemoveObject("faults", ", ".join(owned.faults), owned.instance)
    supervised = any(isinstance(step, Supervisor) for step in steps)
    if supervised:
        programs = {step.replica for step in steps if isinstance(step, ReplicaProcess)}
        yield from surplus("process", sorted(owned.programs), programs)
    elif owned.supervisor:
        yield RemoveObject("supervisor")
    groups = {step.replica for step in steps if isinstance(step, Cgroup)}
    yield from surplus("cgroup", owned.groups, groups)
    declared = {(step.hook.table, step.hook.chain) for step in steps if isinstance(step, Rules)}
    present = [(table, chain) for table, chains in owned.chains.items() for chain in chains]
    if chains := tuple(chain for chain in present if chain not in declared):
        yield RemoveRules(chains)
    objects = set(created(steps))
    namespaces = {name for kind, name in objects if kind == "namespace"}
    declared_links = {name for kind, name in objects if kind != "namespace"}
    if links := tuple(link for link in owned.links if link.name not in declared_links):
        together = len(links) == len(owned.links) and not owned.group_is_shared
        yield RemoveLinks(links, group, together)
    yield from surplus("table", owned.tables, {table for table, _ in declared})
    # Restoring a sysctl needs the lock that dying namespaces hold for long: it comes before.
    held = {step.key for step in steps if isinstance(step, Sysctl) and step.held}
    yield from surplus("sysctl", sorted(owned.held), held)
    mounts = {step.namespace for step in steps if isinstance(step, HostMounts)}
    yield from surplus("mounts", owned.mounts, mounts)
    if owned.mounts_kept and not mounts:
        yield RemoveObject("mounts directory", instance=owned.instance)
    if owned.alone and owned.namespaces and not namespaces:
        yield DetachPins((*owned.namespaces, *owned.pins))
    yield from surplus("namespace", owned.namespaces, namespaces)
    yield from surplus("pin", owned.pins, namespaces)
    if owned.mounted_pins and not namespaces:
        yield RemoveObject("pins mount")
    yield from _files(owned, steps, supervised)


def _files(owned: MarkedObjects, steps: Sequence[NetStep], supervised: bool) -> Iterator[Removal]:
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
            yield RemoveObject("file", path)
