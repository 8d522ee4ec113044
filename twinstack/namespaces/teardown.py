"""Remove a namespace world from its marks alone: no plan, no topology file, no memory needed.

Works after a crash at any step, tolerates absence, goes on past errors and reports them all.
Links go with their namespaces and bridges; what is not marked is not touched.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from twinstack import shell, switches
from twinstack.errors import Missing, SeveralFailed, TwinstackError
from twinstack.names import mark
from twinstack.namespaces import cgroups, kernel, observe, rules, supervisor
from twinstack.plan import Plan
from twinstack.software.building import remove_tree
from twinstack.state import Journal, Places, read_journal, remove_run, write_journal
from twinstack.world import Progress

#: Files of ours under /run/twinstack/INSTANCE, by name: what else lies there is not ours.
_RUN_FILES = ("supervisord.conf", "supervisord.log", "supervisord.log.1", "supervisord.pid",
              "supervisor.sock", "launch", "root", "conf")  # fmt: skip


def down(instance: str, progress: Progress) -> tuple[str, ...]:
    """Remove processes, cgroups, rules, namespaces, links and run-time files of an instance.

    Data under /var/lib/twinstack stays. Gives what was removed, by name. Raises: SeveralFailed
    when parts could not be removed, after all the others were.
    """
    places = Places(instance)
    removal = Removal()
    journal = read_journal(places)
    parts = (_processes, _rules, _namespaces, _links, _switches, _files)
    for part in parts:
        removal.attempt("", partial(part, places, journal, removal))
    if removal.failures:
        raise SeveralFailed(f"net.down (instance {instance})", removal.failures)
    write_journal(places, Journal())
    return tuple(removal.removed)


@dataclass(slots=True)
class Removal:
    """What was removed, and what could not be: one failure never keeps the rest from going."""

    removed: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def attempt(self, name: str, act: Callable[[], object]) -> bool:
        """Do `act`; note `name` (if it has one) as removed, or the failure."""
        try:
            act()
        except (TwinstackError, OSError, NetlinkError) as error:
            self.failures.append(error)
            return False
        if name:
            self.removed.append(name)
        return True


def remove_surplus(plan: Plan, progress: Progress) -> None:
    """Remove namespaces of ours that the plan no longer declares, with what runs in them.

    Raises: as the kernel refuses.
    """
    places = Places(plan.instance)
    if read_journal(places).shape is None:
        return
    wanted = {replica.name for replica in plan.replicas}
    surplus = [name for name in observe.marked_namespaces(plan.mark) if name not in wanted]
    if not surplus:
        return
    layout = cgroups.read_layout()
    known, _ = supervisor.observe(places)
    for name in surplus:
        progress(f"removing {name}, which is declared no longer")
        if name in known:
            supervisor.remove_program(places, name)
        cgroups.end_processes(plan.instance, name, layout)
        cgroups.remove(plan.instance, name, layout)
        kernel.unpin(name)
        (places.run / "launch" / name).unlink(missing_ok=True)


def remove_data(instance: str) -> Iterator[str]:
    """Remove what down keeps: the stores' data, logs and secrets of an instance's world."""
    directory = Places(instance).lib
    if remove_tree(directory):
        yield f"data {directory}"
    with suppress(OSError):  # the Docker world may keep its own things there
        directory.parent.rmdir()


def _processes(places: Places, journal: Journal, removal: Removal) -> None:
    removal.attempt("", lambda: removal.removed.extend(["supervisor"] * supervisor.stop(places)))
    layout = cgroups.read_layout()

    def end(replica: str) -> None:
        cgroups.end_processes(places.instance, replica, layout)
        cgroups.remove(places.instance, replica, layout)

    for replica in cgroups.existing(places.instance, layout):
        removal.attempt(f"cgroup {replica}", partial(end, replica))
    removal.attempt("", lambda: cgroups.remove_parents(places.instance, layout))


def _rules(places: Places, journal: Journal, removal: Removal) -> None:
    try:
        present = observe.read_rules()
    except Missing:
        if journal.empty:
            return  # a machine without iptables never had rules of ours
        raise
    text = rules.removal_text(places.instance, present)
    if text:
        shell.run(["iptables-restore", "--noflush", "--wait", "5"], stdin=text)
        for table, lines in present.items():
            chains = rules.our_chains(places.instance, lines)
            removal.removed += [f"chain {table} {chain}" for chain in chains]


def _namespaces(places: Places, journal: Journal, removal: Removal) -> None:
    for name in observe.marked_namespaces(mark(places.instance)):
        removal.attempt(f"namespace {name}", partial(kernel.unpin, name))
    for name in journal.intended:  # an interrupted add leaves an empty file, and no namespace
        pin = kernel.PINS / name
        if pin.is_file() and pin.stat().st_size == 0 and not kernel.is_pinned(name):
            removal.attempt(f"pin {name}", pin.unlink)
    if journal.mounted_pins:
        kernel.unmount_pins()


def _links(places: Places, journal: Journal, removal: Removal) -> None:
    ours = mark(places.instance)
    with IPRoute() as netlink:
        for link in observe.read_links(netlink).values():
            unmarked = link.alias is None and link.name in journal.intended
            if link.kind in {"bridge", "veth"} and (link.alias == ours or unmarked):
                # A veth pair goes with its namespace: only the bridge is told.
                name = f"bridge {link.name}" if link.kind == "bridge" else ""
                removal.attempt(name, partial(_delete, netlink, link.index))


def _delete(netlink: IPRoute, index: int) -> None:
    try:
        netlink.link("delete", index=index)
    except NetlinkError as error:
        if error.code != errno.ENODEV:  # it went with its namespace meanwhile
            raise


def _switches(places: Places, journal: Journal, removal: Removal) -> None:
    removal.removed += switches.release(switches.holder(places.instance))


def _files(places: Places, journal: Journal, removal: Removal) -> None:
    there = [path for path in (places.run / name for name in _RUN_FILES) if os.path.lexists(path)]
    for path in there:
        if path.is_dir():
            removal.attempt("", partial(shutil.rmtree, path))
        else:
            removal.attempt("", path.unlink)
    if there:
        removal.removed.append(f"files {places.run}")


def forget(instance: str) -> None:
    """Remove the lock's file and the empty directories, at the very end."""
    remove_run(Places(instance), "net")
