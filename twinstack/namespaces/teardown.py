"""Remove what of ours is to go: from its marks alone, no plan, no topology file, no memory needed.

Works after a crash at any step, tolerates absence, goes on past errors and reports them all.
What is not marked is not touched. What goes is decided in `removals`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from twinstack.errors import SeveralFailed, StepFailed, TwinstackError
from twinstack.linux import mounts, netns, nft_tables, process, rtnetlink
from twinstack.linux.links import LinkIdentity
from twinstack.linux.netlink import Netlink
from twinstack.model import names
from twinstack.namespaces import cgroups, dumps, observe, rules, supervisor
from twinstack.namespaces.facts import Facts
from twinstack.namespaces.removals import (
    DetachPins,
    EndProgram,
    EndSupervisor,
    Release,
    ReleaseMounts,
    Removal,
    RemoveCgroup,
    RemoveFile,
    RemoveLinks,
    RemoveMounts,
    RemoveNamespace,
    RemovePin,
    RemoveRules,
    RemoveTable,
    UnmountPins,
    removals,
)
from twinstack.reconcile import UNWATCHED, Watch, watched
from twinstack.software.building import remove_tree
from twinstack.state import host_sysctls
from twinstack.state.journal import Journal, read_journal, write_journal
from twinstack.state.lock import remove_run
from twinstack.state.paths import InstancePaths


@dataclass(slots=True)
class Job:
    """One going-over: where, what iptables held, what was removed, and what could not be.

    One failure never keeps the rest from going. `writing` waits for the rules, which the kernel
    removes while the links go. `fresh`: nothing was done yet that takes its time, so that what was
    seen is still so.
    """

    places: InstancePaths
    rules: Mapping[str, tuple[str, ...]]
    watch: Watch
    writing: Callable[[], object] | None = None
    fresh: bool = True
    removed: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def attempt(self, act: Callable[[], object], name: str = "") -> bool:
        """Do `act`; note `name` (if it has one) as removed, or the failure."""
        try:
            done = act()
        except (TwinstackError, OSError) as error:
            self.failures.append(_named(error, name))
            return False
        if isinstance(done, tuple):  # it says by itself what became of it
            self.removed += done
        elif name and done is not False:
            self.removed.append(name)
        return True

    def settle(self) -> None:
        """Wait for the rules to be gone; a failure is noted."""
        if self.writing is not None:
            writing, self.writing = self.writing, None
            self.attempt(writing)


def _named(error: Exception, name: str) -> Exception:
    if isinstance(error, TwinstackError) or not name:
        return error
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StepFailed(name, "cannot be removed", said, 'run "invoke net.down" again')


def down(instance: str, watch: Watch = UNWATCHED) -> tuple[str, ...]:
    """Remove processes, cgroups, rules, links, namespaces and run-time files of an instance.

    Data under /var/lib/twinstack stays. Gives what was removed, by name. Raises: SeveralFailed
    when parts could not be removed, after all the others were.
    """
    owned = observe.observe_owned(instance)
    job = Job(InstancePaths(instance), owned.rules, watch)
    _do(job, removals(owned, group=names.link_group(instance)))
    layout = cgroups.read_layout()
    job.attempt(lambda: cgroups.remove_parents(instance, layout))
    # What a kill in the midst of writing left of the table goes with an empty one.
    job.attempt(lambda: job.removed.extend(host_sysctls.release(host_sysctls.holder(instance))))
    if job.failures:
        raise SeveralFailed(f"net.down (instance {instance})", job.failures)
    write_journal(job.places, Journal())
    return tuple(job.removed)


def remove_surplus(
    instance: str, surplus: tuple[Removal, ...], facts: Facts, watch: Watch = UNWATCHED
) -> None:
    """Remove what bears our mark and is declared no longer.

    Raises: SeveralFailed after everything else was removed.
    """
    job = Job(InstancePaths(instance), facts.rules, watch)
    _do(job, surplus)
    if job.failures:
        raise SeveralFailed("net.up", job.failures)
    if surplus:
        _forget_intended(job.places, surplus)


def _forget_intended(places: InstancePaths, todo: Sequence[Removal]) -> None:
    gone = {one.namespace for one in todo if isinstance(one, RemoveNamespace | RemovePin)}
    gone |= {link.name for one in todo if isinstance(one, RemoveLinks) for link in one.links}
    journal = read_journal(places)
    left = tuple(name for name in journal.intended if name not in gone)
    write_journal(places, replace(journal, intended=left))


def _do(job: Job, todo: Sequence[Removal]) -> None:
    for removal in todo:
        job.attempt(partial(_watched, job, removal), removal.name)
    job.settle()


def _watched(job: Job, removal: Removal) -> object:
    with watched(job.watch, removal.name):
        return _remove(job, removal)


def _remove(job: Job, removal: Removal) -> object:
    places = job.places
    job.fresh = job.fresh and not isinstance(removal, EndSupervisor | EndProgram | RemoveCgroup)
    match removal:
        case RemoveNamespace(namespace):
            netns.unpin(namespace)
        case ReleaseMounts(namespace):
            mounts.release(places.run / mounts.DIRECTORY / namespace)
        case RemoveMounts():
            mounts.remove(places.run)
        case EndSupervisor():
            supervisor.stop(places)
            job.rules = observe.read_rules()  # that took its time, and others may write rules too
        case EndProgram(replica):
            supervisor.remove_program(places, replica)
        case RemoveCgroup(replica):
            layout = cgroups.read_layout()
            cgroups.end_processes(places.instance, replica, layout)
            cgroups.remove(places.instance, replica, layout)
        case RemoveRules(chains):
            _rules(job, chains)
        case RemoveLinks():
            _links(removal, fresh=job.fresh)
        case RemoveTable(table):
            job.settle()
            return nft_tables.remove_if_empty(table)
        case DetachPins(namespaces):
            if netns.entries() <= set(namespaces):  # looked at again: others may have come
                netns.detach_pins()
        case RemovePin(namespace):
            (netns.PINS / namespace).unlink(missing_ok=True)
        case UnmountPins():
            netns.unmount_pins()
        case Release(key):
            return host_sysctls.release(host_sysctls.holder(places.instance), key)
        case RemoveFile(path):
            _file(Path(path))
    return True


def _rules(job: Job, chains: tuple[tuple[str, str], ...]) -> None:
    """Begin to remove chains of ours; one that holds somebody's rules stays, and is told."""
    instance, tables = job.places.instance, {table for table, _ in chains}
    present = {table: lines for table, lines in job.rules.items() if table in tables}
    text = rules.removal_text(instance, present, {chain for _, chain in chains})
    if text:
        job.writing = process.begin(["iptables-restore", "--noflush", "--wait", "5"], stdin=text)
    for table, chain in chains:
        for line in rules.strangers(chain, instance, present.get(table, ())):
            raise StepFailed(
                f"chain {chain}",
                "stays",
                f"it holds a rule that is not ours: {line}",
                f'remove it ("iptables -t {table} -F {chain}"), then run "invoke net.down"',
            )


def _links(removal: RemoveLinks, *, fresh: bool) -> None:
    """Delete links in one request, by their group: one by one each waits for a grace period."""
    # Not all of the group: those to go are moved into another first.
    group = removal.group if removal.together else removal.group + 1
    mine: Sequence[LinkIdentity] = removal.links
    alone = removal.together
    if not (fresh and removal.together):  # looked at again: 1,000 links are 40 ms
        there = dumps.read_identities()
        mine = [now for link in removal.links if (now := _still(link, there))]
        known = {link.name for link in mine}
        alone = not any(one.group == group and one.name not in known for one in there.values())
    if not mine:
        return
    with Netlink() as netlink:
        if not alone:
            for link in mine:
                netlink.send([rtnetlink.delete_link(link.index)])
            return
        movers = [link for link in mine if link.group != group]
        netlink.send([rtnetlink.regroup(link.index, group) for link in movers])
        netlink.send([rtnetlink.delete_group(group)])


def _still(link: LinkIdentity, there: Mapping[str, LinkIdentity]) -> LinkIdentity | None:
    """Give a link as it is now, if it is the one that was seen: a name may be another's by now."""
    now = there.get(link.name)
    return now if now and (now.index, now.alias) == (link.index, link.alias) else None


def _file(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_data(instance: str) -> Iterator[str]:
    """Remove what down keeps: the stores' data, logs and secrets of an instance's world."""
    directory = InstancePaths(instance).lib
    if remove_tree(directory):
        yield f"data {directory}"
    with suppress(OSError):  # the Docker world may keep its own things there
        directory.parent.rmdir()


def forget(instance: str) -> None:
    """Remove the lock's file and the empty directories, at the very end."""
    remove_run(InstancePaths(instance), "net")
