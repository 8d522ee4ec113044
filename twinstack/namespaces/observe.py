"""Observe the host: netlink dumps, iptables-save, /proc, cgroups and the supervisor.

`observe` gathers the facts of a plan's steps, `observe_owned` what carries an instance's mark.
Nothing is changed, nothing is assumed: what cannot be read is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from twinstack.errors import Missing
from twinstack.faults import record
from twinstack.linux import br_netfilter, iptables, mounts, netns, procfs, sock_diag
from twinstack.linux import process as shell
from twinstack.linux.links import LinkIdentity
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.namespaces import cgroups, dumps, marks, rules, supervisor
from twinstack.namespaces.facts import MarkedObjects, NetFacts, ProgramFacts, ours
from twinstack.namespaces.process_steps import (
    Cgroup,
    InstanceDirectory,
    InstanceFile,
    digest,
    directory_facts,
    file_facts,
)
from twinstack.namespaces.steps import NetStep, Sysctl
from twinstack.namespaces.vxlan_steps import VxlanEntries
from twinstack.state import host_sysctls
from twinstack.state.journal import Journal, read_journal
from twinstack.state.paths import InstancePaths
from twinstack.world import require_root

#: How coarsely the kernel records when a process was started, and some.
_CLOCK_TICK_S = 0.02
#: Files of ours under /run/twinstack/INSTANCE, by name.
RUN_FILES = (
    *("supervisord.conf", "supervisord.log", "supervisord.log.1", "supervisord.pid"),
    *(
        "supervisor.sock",
        "launch",
        "root",
        "conf",
        "versions",
        ".journal.json.new",
        ".supervisord.conf.new",
    ),
    *("overlay.json", ".overlay.json.new"),
)


def observe(plan: Plan, steps: Sequence[NetStep]) -> NetFacts:
    """Gather everything that the steps will be compared with.

    Raises: Missing without root; StepFailed when a part of the host cannot be read.
    """
    require_root("namespaces")
    paths = InstancePaths(plan.instance)
    journal = read_journal(paths)
    waiting_rules = begin_rules()
    with dumps.visiting({replica.name for replica in plan.here}, plan.mark) as waiting_namespaces:
        links, routes = dumps.read_host()
        namespaces = waiting_namespaces()
    present = waiting_rules()
    supervised = supervisor.observe(paths)
    spread = any(isinstance(step, VxlanEntries) for step in steps)
    marked = tuple(name for name, found in namespaces.items() if found.mark == plan.mark)
    owned = _owned(plan.instance, journal, links, present, supervised, marked)
    return NetFacts(
        links=links,
        namespaces=namespaces,
        sysctls=read_sysctls(step.key for step in steps if isinstance(step, Sysctl)),
        routes=routes,
        listeners=sock_diag.listeners(),
        bridges_can_filter=br_netfilter.is_loaded(),
        neighbours=dumps.read_neighbours() if spread else frozenset(),
        files=dict(_files(steps)),
        cgroups={
            step.replica: limits
            for step in steps
            if isinstance(step, Cgroup) and (limits := cgroups.read(step)) is not None
        },
        processes={process.replica: located(process, paths) for process in supervised.processes},
        owned=owned,
    )


def observe_owned(instance: str) -> MarkedObjects:
    """Gather what carries an instance's mark; needs no plan.

    Raises: Missing without root; StepFailed when a part of the host cannot be read.
    """
    require_root("namespaces")
    paths = InstancePaths(instance)
    journal = read_journal(paths)
    try:
        waiting_rules = begin_rules()
    except Missing:
        if not journal.empty:
            raise
        waiting_rules = dict  # a machine without iptables never had rules of ours
    with marks.finding_marked(names.mark(instance)) as waiting_namespaces:
        links = marks.read_identities()
        marked = waiting_namespaces()
    supervised = supervisor.observe(paths)
    return _owned(instance, journal, links, waiting_rules(), supervised, marked)


def _owned(
    instance: str,
    journal: Journal,
    links: Mapping[str, LinkIdentity],
    present: Mapping[str, tuple[str, ...]],
    supervised: supervisor.Supervised,
    namespaces: tuple[str, ...],
) -> MarkedObjects:
    paths, group = InstancePaths(instance), names.link_group(instance)
    owned_links = ours(links.values(), names.mark(instance), frozenset(journal.intended))
    known = {link.name for link in owned_links}
    ownership = rules.ownership(instance)
    pins = tuple(name for name in journal.intended if netns.is_empty_pin(name))
    chains = {table: tuple(ownership.chains(lines)) for table, lines in present.items()}
    return MarkedObjects(
        instance=instance,
        faults=record.left(instance, "net"),
        supervisor=supervised.pid is not None,
        programs=supervised.programs,
        groups=cgroups.existing(instance, cgroups.read_layout()),
        chains={table: names for table, names in chains.items() if names},
        rules=present,
        namespaces=namespaces,
        pins=pins,
        links=owned_links,
        group_is_shared=any(
            link.group == group and link.name not in known for link in links.values()
        ),
        held=host_sysctls.held_by(host_sysctls.holder(instance)),
        files=tuple(_run_files(paths)),
        tables=journal.tables,
        mounted_pins=journal.mounted_pins,
        alone=journal.mounted_pins and netns.entries() <= {*namespaces, *pins},
        mounts=mounts.pinned(paths.run),
        mounts_kept=mounts.is_kept(paths.run),
    )


def _run_files(paths: InstancePaths) -> Iterator[str]:
    """List our files in the run directory; others in it are not ours."""
    for name in RUN_FILES:
        path = paths.run / name
        if os.path.lexists(path):
            yield str(path)
            if path.is_dir() and not path.is_mount():
                yield from sorted(map(str, path.iterdir()))


def read_sysctls(keys: Iterable[str]) -> dict[str, str]:
    """Read sysctls of the host; absent ones are left out."""
    values = {}
    for key in keys:
        with suppress(FileNotFoundError):
            values[key] = (Path("/proc") / procfs.sysctl_path(key)).read_text().strip()
    return values


def begin_rules() -> Callable[[], dict[str, tuple[str, ...]]]:
    """Begin to read iptables; returns what waits for the rules by table.

    Raises: Missing; what it returns raises StepFailed.
    """
    waiting = shell.begin(["iptables-save"])
    return lambda: {"filter": (), **iptables.parse_save(waiting().stdout)}


def _files(steps: Sequence[NetStep]) -> Iterator[tuple[str, str]]:
    for step in steps:
        if isinstance(step, InstanceFile | InstanceDirectory):
            path = Path(step.path)
            if path.is_dir():
                status = path.stat()
                yield step.path, directory_facts(status.st_mode & 0o7777, status.st_uid)
            elif path.is_file():
                mode = path.stat().st_mode & 0o7777
                yield step.path, file_facts(digest(path.read_bytes()), mode)


def located(process: ProgramFacts, paths: InstancePaths) -> ProgramFacts:
    """Add what /proc shows of a supervised process: its namespace, and its launch script."""
    if process.pid is None:
        return process
    try:
        inode = os.stat(f"/proc/{process.pid}/ns/net").st_ino
        environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        started = procfs.started_at(process.pid)
        written = (paths.run / "launch" / process.replica).stat().st_mtime
    except OSError:
        return process
    key = b"TWINSTACK_LAUNCH="
    launches = [word.removeprefix(key).decode() for word in environment if word.startswith(key)]
    # nginx writes its title over its environment: then the start time must decide.
    launch = launches[0] if launches else "older" if started < written - _CLOCK_TICK_S else None
    return replace(process, launch=launch, namespace_inode=inode)
