"""Remove a namespace world from its marks alone: no plan, no topology file, no memory needed.

Works after a crash at any step, tolerates absence, goes on past errors and reports them all.
Links go with their namespaces and bridges; what is not marked is not touched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from twinstack import shell, switches
from twinstack.errors import Missing, SeveralFailed, StepFailed, TwinstackError
from twinstack.names import mark
from twinstack.namespaces import cgroups, kernel, observe, rules, supervisor
from twinstack.plan import Plan
from twinstack.software.building import remove_tree
from twinstack.state import Journal, Places, read_journal, remove_run, write_journal
from twinstack.world import Progress

#: Files of ours under /run/twinstack/INSTANCE, by name: what else lies there is not ours.
_RUN_FILES = ("supervisord.conf", "supervisord.log", "supervisord.log.1", "supervisord.pid",
              "supervisor.sock")  # fmt: skip
_RUN_DIRECTORIES = ("launch", "root", "conf")


def down(instance: str, progress: Progress) -> tuple[str, ...]:
    """Remove processes, cgroups, rules, namespaces, links and run-time files of an instance.

    Data under /var/lib/twinstack stays. Gives what was removed, by name. Raises: SeveralFailed
    when parts could not be removed, after all the others were; Missing without root.
    """
    if os.geteuid() != 0:
        raise Missing("namespaces", "cannot be removed", "this needs root", "run it with sudo")
    places = Places(instance)
    journal = read_journal(places)
    removed: list[str] = []
    failures: list[Exception] = []
    parts: tuple[Callable[[Places, Journal], Iterator[str]], ...] = (
        _processes, _rules, _namespaces, _links, _sysctls, _files,
    )  # fmt: skip
    for part in parts:
        try:
            removed += part(places, journal)
        except (TwinstackError, OSError, NetlinkError) as error:
            failures.append(error)
    if failures:
        raise SeveralFailed(f"net.down (instance {instance})", failures)
    return tuple(removed)


def remove_surplus(plan: Plan, progress: Progress) -> None:
    """Remove namespaces of ours that the plan no longer declares, with what runs in them."""
    places = Places(plan.instance)
    journal = read_journal(places)
    wanted = {replica.name for replica in plan.replicas}
    surplus = [name for name in journal.namespaces if name not in wanted]
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
    left = {name: inode for name, inode in journal.namespaces.items() if name not in surplus}
    write_journal(places, replace(journal, namespaces=left))


def remove_data(instance: str) -> Iterator[str]:
    """Remove what down keeps: the stores' data, logs and secrets of an instance's world."""
    directory = Places(instance).lib
    if remove_tree(directory):
        yield f"data {directory}"
    with suppress(OSError):  # the Docker world may keep its own things there
        directory.parent.rmdir()


def _processes(places: Places, journal: Journal) -> Iterator[str]:
    failure: TwinstackError | None = None
    try:
        if supervisor.stop(places):
            yield "supervisor"
    except StepFailed as error:
        failure = error  # its processes are ended below all the same
    layout = cgroups.read_layout()
    for replica in cgroups.existing(places.instance, layout):
        cgroups.end_processes(places.instance, replica, layout)
        cgroups.remove(places.instance, replica, layout)
        yield f"cgroup {replica}"
    cgroups.remove_parents(places.instance, layout)
    if failure is not None:
        raise failure


def _rules(places: Places, journal: Journal) -> Iterator[str]:
    if shutil.which("iptables-save") is None:
        return
    present = observe.read_rules()
    text = rules.removal_text(places.instance, present)
    if text:
        shell.run(["iptables-restore", "--noflush", "--wait", "5"], stdin=text)
        for table, lines in present.items():
            for chain in rules.our_chains(places.instance, lines):
                yield f"chain {table} {chain}"


def _namespaces(places: Places, journal: Journal) -> Iterator[str]:
    for name in sorted({*journal.namespaces, *journal.intended}):
        pin = kernel.PINS / name
        if not pin.exists():
            continue
        recorded = journal.namespaces.get(name)
        stranger = recorded is not None and kernel.is_pinned(name) and (
            pin.stat().st_ino != recorded
        )  # fmt: skip
        if not stranger:
            kernel.unpin(name)
            yield f"namespace {name}"
    if journal.mounted_pins:
        kernel.unmount_pins()
    write_journal(
        places,
        replace(read_journal(places), namespaces={}, mounted_pins=False, shape=None, limited=True),
    )


def _links(places: Places, journal: Journal) -> Iterator[str]:
    ours = mark(places.instance)
    with IPRoute() as netlink:
        for link in observe.read_links(netlink).values():
            unmarked = link.alias is None and link.name in journal.intended
            if link.kind in {"bridge", "veth"} and (link.alias == ours or unmarked):
                try:
                    netlink.link("delete", index=link.index)
                except NetlinkError as error:
                    if error.code != 19:  # ENODEV: it went with its namespace meanwhile
                        raise
                if link.kind == "bridge":
                    yield f"bridge {link.name}"
    write_journal(places, replace(read_journal(places), intended=()))


def _sysctls(places: Places, journal: Journal) -> Iterator[str]:
    yield from switches.release(f"{places.instance}/net")


def _files(places: Places, journal: Journal) -> Iterator[str]:
    found = [places.run / name for name in (*_RUN_FILES, *_RUN_DIRECTORIES)]
    there = [path for path in found if path.exists() or path.is_socket()]
    for path in there:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            Path(path).unlink()
    if there:
        yield f"files {places.run}"


def forget(instance: str) -> None:
    """Remove the lock's file and the empty directories, at the very end."""
    remove_run(Places(instance), "net")
