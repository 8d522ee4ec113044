"""Remove what of ours is to go: from its marks alone, without a plan or a topology file.

Works after a crash at any step, tolerates absence, continues past errors and reports them all.
What is not marked is not touched. `removals` decides what goes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from twinstack.errors import StepFailed
from twinstack.faults import record
from twinstack.linux import iptables, mounts, netns, nft_tables, process, rtnetlink
from twinstack.linux.links import LinkIdentity
from twinstack.linux.netlink import Netlink
from twinstack.model import names
from twinstack.namespaces import cgroups, marks, observe, rules, supervisor
from twinstack.namespaces.removals import (
    DetachPins,
    Kind,
    Removal,
    RemoveLinks,
    RemoveObject,
    RemoveRules,
    removals,
)
from twinstack.reconcile import UNWATCHED, Teardown, Watch
from twinstack.software.building import remove_tree
from twinstack.state import host_sysctls
from twinstack.state.journal import Journal, read_journal, write_journal
from twinstack.state.lock import remove_run
from twinstack.state.paths import InstancePaths


@dataclass(slots=True)
class TeardownContext:
    """What the removals share."""

    paths: InstancePaths
    rules: Mapping[str, tuple[str, ...]]  # all lines of iptables-save, by table
    teardown: Teardown
    writing: Callable[[], object] | None = None  # waits for iptables-restore, which runs meanwhile
    fresh: bool = True  # nothing slow was done since the host was observed

    def settle(self) -> None:
        """Wait for the rules to be gone."""
        if self.writing is not None:
            writing, self.writing = self.writing, None
            self.teardown.tidy("rules", writing)


def down(instance: str, watch: Watch = UNWATCHED) -> tuple[str, ...]:
    """Remove processes, cgroups, rules, links, namespaces and run-time files of an instance.

    Data under /var/lib/twinstack stays. Gives the names of what was removed. Raises: the failure,
    or SeveralFailed, after everything else was removed.
    """
    owned = observe.observe_owned(instance)
    paths = InstancePaths(instance)
    teardown = _remove_all(
        removals(owned, group=names.link_group(instance)), paths, owned.rules, watch
    )
    layout = cgroups.read_layout()
    teardown.tidy(f"cgroup {instance}", lambda: cgroups.remove_parents(instance, layout))
    # What an interrupted write left of the table of held sysctls.
    teardown.tidy("sysctls", lambda: host_sysctls.release(host_sysctls.holder(instance)))
    removed = teardown.finish(f"net.down (instance {instance})")
    write_journal(paths, Journal())
    return removed


def remove_undeclared(
    instance: str,
    undeclared: Sequence[Removal],
    present: Mapping[str, tuple[str, ...]],
    watch: Watch = UNWATCHED,
) -> None:
    """Remove what carries our mark and is declared no longer; `present`: all of iptables.

    Raises: the failure, or SeveralFailed, after everything else was removed.
    """
    if not undeclared:
        return
    paths = InstancePaths(instance)
    _remove_all(undeclared, paths, present, watch).finish("net.up")
    gone: set[str] = set()
    for removal in undeclared:
        if isinstance(removal, RemoveLinks):
            gone |= {link.name for link in removal.links}
        elif isinstance(removal, RemoveObject) and removal.kind in {"namespace", "pin"}:
            gone.add(removal.target)
    journal = read_journal(paths)
    intended = tuple(name for name in journal.intended if name not in gone)
    write_journal(paths, replace(journal, intended=intended))


def _remove_all(
    todo: Sequence[Removal],
    paths: InstancePaths,
    present: Mapping[str, tuple[str, ...]],
    watch: Watch,
) -> Teardown:
    teardown = Teardown(watch, remedy='run "invoke net.down" again')
    context = TeardownContext(paths, present, teardown)
    for removal in todo:
        teardown.remove(removal.name, partial(_remove, context, removal))
    context.settle()
    return teardown


def _remove(context: TeardownContext, removal: Removal) -> object:
    match removal:
        case RemoveRules(chains):
            _remove_rules(context, chains)
        case RemoveLinks():
            _remove_links(removal, fresh=context.fresh)
        case DetachPins(namespaces):
            if netns.entries() <= set(namespaces):  # observed again: others may have been added
                netns.detach_pins()
        case RemoveObject(kind, target):
            context.fresh &= kind not in {"process", "supervisor", "cgroup"}  # these are slow
            return EFFECTS[kind](context, target)
    return None


def _repair(context: TeardownContext, _: str) -> None:
    record.repair(context.paths.instance, "net")
    context.rules = observe.begin_rules()()  # theirs are gone


def _end_supervisor(context: TeardownContext, _: str) -> None:
    supervisor.stop(context.paths)
    context.rules = observe.begin_rules()()  # others may have written rules meanwhile


def _remove_table(context: TeardownContext, table: str) -> bool:
    context.settle()
    return nft_tables.remove_if_empty(table)


def _remove_file(_: TeardownContext, target: str) -> None:
    path = Path(target)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


#: What removes an object of a kind, by its target. Raises: OSError, TwinstackError.
EFFECTS: Mapping[Kind, Callable[[TeardownContext, str], object]] = {
    "faults": _repair,
    "process": lambda context, replica: supervisor.remove_program(context.paths, replica),
    "supervisor": _end_supervisor,
    "cgroup": lambda context, replica: cgroups.remove(
        context.paths.instance, replica, cgroups.read_layout()
    ),
    "table": _remove_table,
    "sysctl": lambda context, key: host_sysctls.release(
        host_sysctls.holder(context.paths.instance), key
    ),
    "mounts": lambda context, host: mounts.release(context.paths.run / mounts.DIRECTORY / host),
    "mounts directory": lambda context, _: mounts.remove(context.paths.run),
    "namespace": lambda _, name: netns.unpin(name),
    "pin": lambda _, name: (netns.PINS / name).unlink(missing_ok=True),
    "pins mount": lambda *_: netns.unmount_pins(),
    "file": _remove_file,
}


def _remove_rules(context: TeardownContext, chains: tuple[tuple[str, str], ...]) -> None:
    """Begin to remove chains of ours; one with foreign rules stays. Raises: StepFailed."""
    instance, tables = context.paths.instance, {table for table, _ in chains}
    present = {table: lines for table, lines in context.rules.items() if table in tables}
    text = rules.removal_text(instance, present, {chain for _, chain in chains})
    if text:
        context.writing = process.begin(iptables.RESTORE, stdin=text)
    for table, chain in chains:
        foreign = iptables.foreign_rules(names.mark(instance), present.get(table, ()))
        for line in foreign.get(chain, ()):
            raise StepFailed(
                f"chain {chain}",
                "stays",
                f"it holds a rule that is not ours: {line}",
                f'remove it ("iptables -t {table} -F {chain}"), then run "invoke net.down"',
            )


def _remove_links(removal: RemoveLinks, *, fresh: bool) -> None:
    """Delete links in one request, by their group: one by one each waits for a grace period."""
    # If part of the group stays, those to go are moved to another group first.
    group = removal.group if removal.together else removal.group + 1
    links: Sequence[LinkIdentity] = removal.links
    alone = removal.together
    if not (fresh and removal.together):  # observed again: 40 ms for 1,000 links
        current = marks.read_identities()
        links = [link for seen in removal.links if (link := _unchanged(seen, current))]
        known = {link.name for link in links}
        alone = not any(link.group == group and link.name not in known for link in current.values())
    if not links:
        return
    with Netlink() as netlink:
        if not alone:
            for link in links:
                netlink.send([rtnetlink.delete_link(link.index)])
            return
        movers = [link for link in links if link.group != group]
        netlink.send([rtnetlink.set_group(link.index, group) for link in movers])
        netlink.send([rtnetlink.delete_group(group)])


def _unchanged(seen: LinkIdentity, current: Mapping[str, LinkIdentity]) -> LinkIdentity | None:
    """Give a link as it is now, if it is the one that was seen: its name may have a new owner."""
    link = current.get(seen.name)
    return link if link and (link.index, link.alias) == (seen.index, seen.alias) else None


def data_of(instance: str, *, keep_stores: bool = False) -> tuple[Path, ...]:
    """List what `clean` removes of what down keeps: all of it, or the logs alone.

    Without the secrets, which sign sessions, nobody would find his cart: they stay with the data.
    """
    paths = InstancePaths(instance)
    path = paths.log if keep_stores else paths.lib
    return (path,) if path.exists() else ()


def remove_data(instance: str, *, keep_stores: bool = False) -> tuple[str, ...]:
    """Remove what down keeps, and name it; `keep_stores`: the logs alone."""
    removed = [path for path in data_of(instance, keep_stores=keep_stores) if remove_tree(path)]
    lib = InstancePaths(instance).lib
    for directory in (lib, lib.parent):
        with suppress(OSError):  # the Docker world may keep its own things there
            directory.rmdir()
    return tuple(f"data {path}" for path in removed)


def removable(instance: str, *, keep_stores: bool = False) -> tuple[str, ...]:
    """Name what `down` and `remove_data` would remove; changes nothing. Raises: as `down`."""
    todo = removals(observe.observe_owned(instance), group=names.link_group(instance))
    data = data_of(instance, keep_stores=keep_stores)
    return (*(removal.name for removal in todo), *(f"data {path}" for path in data))


def forget(instance: str) -> None:
    """Remove the lock's file and the empty directories, at the very end."""
    remove_run(InstancePaths(instance), "net")
