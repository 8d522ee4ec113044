"""What of ours is to go, as a list of removals; pure.

`down` removes all that bears our mark, `up` what bears it and is declared no longer: both are
`removals(owned, steps)`, the one with no steps at all. The list is in the order of doing: what
runs goes before what it runs in. `teardown` does them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twinstack.linux.links import LinkIdentity
from twinstack.namespaces.facts import Owned
from twinstack.namespaces.process_steps import Cgroup, Directory, File, Process, Supervisor
from twinstack.namespaces.steps import Bridge, Namespace, Rules, Step, Sysctl, VethPair
from twinstack.namespaces.vxlan_steps import Mounts, Tunnel


@dataclass(frozen=True, slots=True)
class EndProgram:
    """End a replica's process and let the supervisor forget it."""

    replica: str

    @property
    def name(self) -> str:
        return f"process {self.replica}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"supervisorctl stop {self.replica}", f"supervisorctl remove {self.replica}")


@dataclass(frozen=True, slots=True)
class EndSupervisor:
    """End the supervisor and, in an orderly way, everything that it runs."""

    name: str = "supervisor"

    @property
    def commands(self) -> tuple[str, ...]:
        return ("supervisorctl shutdown",)


@dataclass(frozen=True, slots=True)
class RemoveCgroup:
    """Kill what is left in a replica's cgroup, and remove it."""

    replica: str
    instance: str

    @property
    def name(self) -> str:
        return f"cgroup {self.replica}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"rmdir /sys/fs/cgroup/*/twinstack/{self.instance}/{self.replica}",)


@dataclass(frozen=True, slots=True)
class RemoveRules:
    """Remove chains of ours, each with its table, and the jumps that lead to them; all at once."""

    chains: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        tables = dict.fromkeys(table for table, _ in self.chains)
        return f"rules in {', '.join(tables)} ({len(self.chains)} chains)"

    @property
    def commands(self) -> tuple[str, ...]:
        return (
            *(f"iptables -t {table} -F {chain}" for table, chain in self.chains),
            *(f"iptables -t {table} -X {chain}" for table, chain in self.chains),
        )


@dataclass(frozen=True, slots=True)
class RemoveTable:
    """Remove an iptables table that we were the first to use, if nobody uses it now."""

    table: str

    @property
    def name(self) -> str:
        return f"table {self.table}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"nft delete table ip {self.table}",)


@dataclass(frozen=True, slots=True)
class RemoveLinks:
    """Remove links of ours, all at once: veth pairs with their other ends, and bridges.

    `together`: the whole of our link group goes, so one request names them all.
    """

    links: tuple[LinkIdentity, ...]
    group: int
    together: bool

    @property
    def name(self) -> str:
        words = {"bridge": "bridge", "vxlan": "tunnel"}
        named = [f"{words[link.kind]} {link.name}" for link in self.links if link.kind in words]
        pairs = len(self.links) - len(named)
        return ", ".join([*named, *([f"{pairs} veth pairs"] if pairs else [])])

    @property
    def commands(self) -> tuple[str, ...]:
        if self.together:
            return (f"ip link delete group {self.group}",)
        return tuple(f"ip link delete {link.name}" for link in self.links)


@dataclass(frozen=True, slots=True)
class RemoveNamespace:
    """Let go of a namespace of ours."""

    namespace: str

    @property
    def name(self) -> str:
        return f"namespace {self.namespace}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"ip netns delete {self.namespace}",)


@dataclass(frozen=True, slots=True)
class DetachPins:
    """Let go of all pinned namespaces at once: these, and every one of them is ours."""

    namespaces: tuple[str, ...]
    name: str = "pins of every namespace"

    @property
    def commands(self) -> tuple[str, ...]:
        return ("umount --lazy /run/netns",)


@dataclass(frozen=True, slots=True)
class RemovePin:
    """Remove the empty file that an interrupted making of a namespace left."""

    namespace: str

    @property
    def name(self) -> str:
        return f"pin {self.namespace}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"rm /run/netns/{self.namespace}",)


@dataclass(frozen=True, slots=True)
class UnmountPins:
    """Undo the mount of /run/netns that we made, if nothing of anybody's is left in it."""

    name: str = "mount /run/netns"

    @property
    def commands(self) -> tuple[str, ...]:
        return ("umount /run/netns", "rmdir /run/netns")


@dataclass(frozen=True, slots=True)
class ReleaseMounts:
    """Let go of a host's own mounts; with them goes all that is pinned in there."""

    namespace: str
    instance: str

    @property
    def name(self) -> str:
        return f"mounts {self.namespace}"

    @property
    def commands(self) -> tuple[str, ...]:
        pin = f"/run/twinstack/{self.instance}/mounts/{self.namespace}"
        return (f"umount {pin}", f"rm {pin}")


@dataclass(frozen=True, slots=True)
class RemoveMounts:
    """Remove the place where hosts' mounts are pinned, and whatever is still pinned in it."""

    instance: str
    name: str = "place of the hosts' mounts"

    @property
    def commands(self) -> tuple[str, ...]:
        place = f"/run/twinstack/{self.instance}/mounts"
        return (f"umount --lazy {place}", f"rmdir {place}")


@dataclass(frozen=True, slots=True)
class Release:
    """Let go of a switch of the host; the last to let go restores it."""

    key: str

    @property
    def name(self) -> str:
        return f"sysctl {self.key}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"sysctl -w {self.key}=<its former value>",)


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove a file or directory of ours under the run directory."""

    path: str

    @property
    def name(self) -> str:
        return f"file {self.path}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (f"rm -r {self.path}",)


Removal = (
    EndProgram
    | EndSupervisor
    | RemoveCgroup
    | RemoveRules
    | RemoveTable
    | RemoveLinks
    | ReleaseMounts
    | RemoveMounts
    | RemoveNamespace
    | DetachPins
    | RemovePin
    | UnmountPins
    | Release
    | RemoveFile
)


@dataclass(frozen=True, slots=True)
class Surplus:
    """A removal that an `up` is to do, and why: the counterpart of a `Change`."""

    step: Removal
    reason: str = "is declared no longer"


def removals(owned: Owned, steps: tuple[Step, ...] = (), *, group: int) -> tuple[Removal, ...]:
    """List what of ours the steps do not want; without steps, all of it."""
    return tuple(_removals(owned, steps, group))


def _removals(owned: Owned, steps: tuple[Step, ...], group: int) -> Iterator[Removal]:
    supervised = any(isinstance(step, Supervisor) for step in steps)
    if owned.supervisor and not supervised:
        yield EndSupervisor()
    elif owned.supervisor:
        programs = {step.replica for step in steps if isinstance(step, Process)}
        yield from (EndProgram(name) for name in sorted(owned.programs - programs))
    groups = {step.replica for step in steps if isinstance(step, Cgroup)}
    yield from (RemoveCgroup(name, owned.instance) for name in owned.groups if name not in groups)
    wanted = {(step.hook.table, step.hook.chain) for step in steps if isinstance(step, Rules)}
    present = [(table, chain) for table, chains in owned.chains.items() for chain in chains]
    surplus = tuple(one for one in present if one not in wanted)
    if surplus:
        yield RemoveRules(surplus)
    yield from _links(owned, steps, group)
    kept = {table for table, _ in wanted}
    yield from (RemoveTable(table) for table in owned.tables if table not in kept)
    # Restoring a switch needs the lock that dying namespaces hold for long: it comes before.
    held = {step.key for step in steps if isinstance(step, Sysctl) and step.held}
    yield from (Release(key) for key in sorted(owned.held - held))
    yield from _mounts(owned, steps)
    namespaces = {step.namespace for step in steps if isinstance(step, Namespace)}
    if owned.alone and owned.namespaces and not namespaces:
        yield DetachPins((*owned.namespaces, *owned.pins))
    yield from (RemoveNamespace(name) for name in owned.namespaces if name not in namespaces)
    yield from (RemovePin(name) for name in owned.pins if name not in namespaces)
    if owned.mounted_pins and not namespaces:
        yield UnmountPins()
    yield from _files(owned, steps, supervised)


def _mounts(owned: Owned, steps: tuple[Step, ...]) -> Iterator[Removal]:
    wanted = {step.namespace for step in steps if isinstance(step, Mounts)}
    surplus = [name for name in owned.mounts if name not in wanted]
    yield from (ReleaseMounts(name, owned.instance) for name in surplus)
    if owned.mounts_kept and not wanted:
        yield RemoveMounts(owned.instance)


def _links(owned: Owned, steps: tuple[Step, ...], group: int) -> Iterator[Removal]:
    bridges = {step.link for step in steps if isinstance(step, Bridge | Tunnel)}
    pairs = {step.host_end for step in steps if isinstance(step, VethPair)}
    surplus = tuple(link for link in owned.links if link.name not in bridges | pairs)
    if surplus:
        together = len(surplus) == len(owned.links) and not owned.strangers
        yield RemoveLinks(surplus, group, together)


def _files(owned: Owned, steps: tuple[Step, ...], supervised: bool) -> Iterator[Removal]:
    wanted = {step.path for step in steps if isinstance(step, (File, Directory))}
    gone: set[str] = set()
    spread = any(isinstance(step, Mounts) for step in steps)  # its record is the overlay's to keep
    for path in owned.files:
        if path.rpartition("/")[0] in gone:
            continue
        supervisors = path.rpartition("/")[2].startswith("supervis")
        above = any(one.startswith(f"{path}/") for one in wanted)
        if spread and path.endswith("/overlay.json"):
            continue
        if path not in wanted and not above and not (supervised and supervisors):
            gone.add(path)
            yield RemoveFile(path)
