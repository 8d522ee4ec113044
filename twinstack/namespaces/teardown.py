"""Remove what of ours is to go: from its marks alone, no plan, no topology file, no memory needed.

Works after a crash at any step, tolerates absence, goes on past errors and reports them all.
What is not marked is not touched. What goes is decided in `removals`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from twinstack import names, shell, switches
from twinstack.errors import SeveralFailed, StepFailed, TwinstackError
from twinstack.namespaces import (
    basetables,
    cgroups,
    dumps,
    kernel,
    links,
    observe,
    rules,
    supervisor,
)
from twinstack.namespaces.facts import LinkFacts
from twinstack.namespaces.netlink import Netlink
from twinstack.namespaces.removals import (
    DetachPins,
    EndProgram,
    EndSupervisor,
    Release,
    Removal,
    RemoveCgroup,
    RemoveFile,
    RemoveLinks,
    RemoveNamespace,
    RemovePin,
    RemoveRules,
    RemoveTable,
    UnmountPins,
    removals,
)
from twinstack.software.building import remove_tree
from twinstack.state import Journal, Places, read_journal, remove_run, write_journal
from twinstack.world import UNWATCHED, Watch, watched


@dataclass(slots=True)
class Outcome:
    """What was removed, and what could not be: one failure never keeps the rest from going."""

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
    places = Places(instance)
    outcome = Outcome()
    todo = removals(observe.observe_owned(instance), group=names.link_group(instance))
    _do(places, todo, outcome, watch)
    layout = cgroups.read_layout()
    outcome.attempt(lambda: cgroups.remove_parents(instance, layout))
    if outcome.failures:
        raise SeveralFailed(f"net.down (instance {instance})", outcome.failures)
    write_journal(places, Journal())
    return tuple(outcome.removed)


def remove_surplus(instance: str, surplus: tuple[Removal, ...], watch: Watch = UNWATCHED) -> None:
    """Remove what bears our mark and is declared no longer.

    Raises: SeveralFailed after everything else was removed.
    """
    places = Places(instance)
    outcome = Outcome()
    _do(places, surplus, outcome, watch)
    if outcome.failures:
        raise SeveralFailed("net.up", outcome.failures)
    if surplus:
        _forget_intended(places, surplus)


def _forget_intended(places: Places, todo: Sequence[Removal]) -> None:
    gone = {one.namespace for one in todo if isinstance(one, RemoveNamespace | RemovePin)}
    gone |= {link.name for one in todo if isinstance(one, RemoveLinks) for link in one.links}
    journal = read_journal(places)
    left = tuple(name for name in journal.intended if name not in gone)
    write_journal(places, replace(journal, intended=left))


def _do(places: Places, todo: Sequence[Removal], outcome: Outcome, watch: Watch) -> None:
    for removal in todo:
        act = partial(_watched, removal, partial(_remove, places, removal), watch)
        outcome.attempt(act, removal.name)


def _watched(removal: Removal, act: Callable[[], object], watch: Watch) -> object:
    with watched(watch, removal.name):
        return act()


def _remove(places: Places, removal: Removal) -> object:
    match removal:
        case EndSupervisor():
            supervisor.stop(places)
        case EndProgram(replica):
            supervisor.remove_program(places, replica)
        case RemoveCgroup(replica):
            layout = cgroups.read_layout()
            cgroups.end_processes(places.instance, replica, layout)
            cgroups.remove(places.instance, replica, layout)
        case RemoveRules(chains):
            _rules(places, chains)
        case RemoveTable(table):
            return basetables.remove_if_empty(table)
        case RemoveLinks():
            _links(removal)
        case RemoveNamespace(namespace):
            kernel.unpin(namespace)
        case DetachPins():
            kernel.detach_pins()
        case RemovePin(namespace):
            (kernel.PINS / namespace).unlink(missing_ok=True)
        case UnmountPins():
            kernel.unmount_pins()
        case Release(key):
            return switches.release(switches.holder(places.instance), key)
        case RemoveFile(path):
            _file(Path(path))
    return True


def _rules(places: Places, chains: tuple[tuple[str, str], ...]) -> None:
    """Remove chains of ours at once; one that holds somebody's rules stays, and is told."""
    tables = {table for table, _ in chains}
    present = {table: lines for table, lines in observe.read_rules().items() if table in tables}
    text = rules.removal_text(places.instance, present, {chain for _, chain in chains})
    if text:
        shell.run(["iptables-restore", "--noflush", "--wait", "5"], stdin=text)
    for table, chain in chains:
        for line in rules.strangers(chain, places.instance, present.get(table, ())):
            raise StepFailed(
                f"chain {chain}", "stays", f"it holds a rule that is not ours: {line}",
                f'remove it ("iptables -t {table} -F {chain}"), then run "invoke net.down"',
            )  # fmt: skip


def _links(removal: RemoveLinks) -> None:
    """Delete links in one request, by their group: one by one each waits for a grace period."""
    with Netlink() as netlink:
        there = {one.index: one for one in dumps.read_links(netlink).values()}
        mine = [link for link in removal.links if _still(link, there)]
        if not mine:
            return
        # Not all of the group: those to go are moved into another first.
        group = removal.group if removal.together else removal.group + 1
        indices = {link.index for link in mine}
        if any(one.group == group and one.index not in indices for one in there.values()):
            for link in mine:
                netlink.send([links.delete_link(link.index)])
            return
        movers = [link for link in mine if there[link.index].group != group]
        netlink.send([links.regroup(link.index, group) for link in movers])
        netlink.send([links.delete_group(group)])


def _still(link: LinkFacts, there: dict[int, LinkFacts]) -> bool:
    """Tell whether a link is the one that was seen: an index may be somebody else's by now."""
    now = there.get(link.index)
    return now is not None and (now.name, now.alias) == (link.name, link.alias)


def _file(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_data(instance: str) -> Iterator[str]:
    """Remove what down keeps: the stores' data, logs and secrets of an instance's world."""
    directory = Places(instance).lib
    if remove_tree(directory):
        yield f"data {directory}"
    with suppress(OSError):  # the Docker world may keep its own things there
        directory.parent.rmdir()


def forget(instance: str) -> None:
    """Remove the lock's file and the empty directories, at the very end."""
    remove_run(Places(instance), "net")
