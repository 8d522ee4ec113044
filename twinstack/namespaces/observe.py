"""Look at the host: netlink dumps, iptables-save, /proc, cgroups and the supervisor.

`observe` gathers the facts of one instance. Nothing is changed, nothing is assumed: what
cannot be read is an error.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from twinstack.errors import Missing
from twinstack.linux import br_netfilter, listeners, mounts, netns, procfs
from twinstack.linux import process as shell
from twinstack.linux.cgroup import Layout
from twinstack.linux.links import LinkIdentity
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.namespaces import cgroups, dumps, rules, supervisor, vxlan
from twinstack.namespaces.facts import Facts, Owned, ProcessFacts, ours
from twinstack.namespaces.process_steps import Cgroup, Directory, File, directory_facts, file_facts
from twinstack.namespaces.steps import Step, Sysctl
from twinstack.state import host_sysctls
from twinstack.state.journal import Journal, read_journal
from twinstack.state.paths import InstancePaths

#: How coarsely the kernel writes down when a process was started, and some.
_CLOCK_TICK_S = 0.02
#: Files of ours under /run/twinstack/INSTANCE, by name.
RUN_FILES = (
    "supervisord.conf",
    "supervisord.log",
    "supervisord.log.1",
    "supervisord.pid",
    "supervisor.sock",
    "launch",
    "root",
    "conf",
    ".journal.json.new",
    ".supervisord.conf.new",
    "overlay.json",
    ".overlay.json.new",
)
_TABLES = ("raw", "nat", "filter")


def observe(plan: Plan, steps: tuple[Step, ...]) -> Facts:
    """Gather everything that the steps will be compared with.

    Raises: Missing without root; StepFailed when a part of the host cannot be read.
    """
    _require_root()
    places = InstancePaths(plan.instance)
    journal = read_journal(places)
    reading = begin_rules()
    with dumps.looking_into({replica.name for replica in plan.here}, plan.mark) as inside:
        seen, routes = dumps.read_host()
        namespaces = inside()
    present = reading()
    supervised = supervisor.observe(places)
    layout = cgroups.read_layout()
    forwarding, sources = vxlan.observe(steps)
    return Facts(
        links=seen,
        namespaces=namespaces,
        sysctls=read_sysctls(step.key for step in steps if isinstance(step, Sysctl)),
        held=host_sysctls.held_by(host_sysctls.holder(plan.instance)),
        rules=present,
        routes=routes,
        listeners=listeners.read(),
        files=dict(_files(steps)),
        cgroups={
            step.replica: found
            for step in steps
            if isinstance(step, Cgroup) and (found := cgroups.read(step)) is not None
        },
        supervisor_pid=supervised.pid,
        processes={one.replica: _located(one, places) for one in supervised.processes},
        intended=frozenset(journal.intended),
        bridges_can_filter=br_netfilter.is_there(),
        forwarding=forwarding,
        sources=sources,
        mounts=frozenset(mounts.pinned(places.run)),
        owned=_owned(
            plan.instance,
            journal,
            seen,
            present,
            supervised,
            layout,
            tuple(name for name, one in namespaces.items() if one.ours),
        ),
    )


def observe_owned(instance: str) -> Owned:
    """Gather what bears an instance's mark; needs no plan.

    Raises: Missing without root; StepFailed when a part of the host cannot be read.
    """
    _require_root()
    places = InstancePaths(instance)
    journal = read_journal(places)
    try:
        reading = begin_rules()
    except Missing:
        if not journal.empty:
            raise
        reading = dict  # a machine without iptables never had rules of ours
    with dumps.looking_for_marked(names.mark(instance)) as inside:
        seen = dumps.read_identities()
        marked = inside()
    supervised = supervisor.observe(places)
    present = reading()
    return _owned(instance, journal, seen, present, supervised, cgroups.read_layout(), marked)


def _owned(
    instance: str,
    journal: Journal,
    seen: Mapping[str, LinkIdentity],
    present: Mapping[str, tuple[str, ...]],
    supervised: supervisor.Supervised,
    layout: Layout,
    namespaces: tuple[str, ...],
) -> Owned:
    places = InstancePaths(instance)
    mark, group = names.mark(instance), names.link_group(instance)

    mine = ours(seen.values(), mark, frozenset(journal.intended))
    known = {link.name for link in mine}
    pins = tuple(name for name in journal.intended if netns.is_empty_pin(name))
    chains = {table: tuple(rules.our_chains(instance, lines)) for table, lines in present.items()}
    return Owned(
        instance=instance,
        supervisor=supervised.pid is not None,
        programs=supervised.programs,
        groups=tuple(cgroups.existing(instance, layout)),
        chains={table: found for table, found in chains.items() if found},
        rules=present,
        namespaces=namespaces,
        pins=pins,
        links=mine,
        strangers=any(link.group == group and link.name not in known for link in seen.values()),
        held=host_sysctls.held_by(host_sysctls.holder(instance)),
        files=tuple(_run_files(places)),
        tables=journal.tables,
        mounted_pins=journal.mounted_pins,
        mounts=mounts.pinned(places.run),
        mounts_kept=mounts.is_kept(places.run),
        alone=journal.mounted_pins and netns.entries() <= {*namespaces, *pins},
    )


def _run_files(places: InstancePaths) -> Iterable[str]:
    """List what of ours lies in the run directory: what else lies there is not ours."""
    for name in RUN_FILES:
        path = places.run / name
        if os.path.lexists(path):
            yield str(path)
            if path.is_dir() and not path.is_mount():
                yield from sorted(str(one) for one in path.iterdir())


def _require_root() -> None:
    if os.geteuid() != 0:
        raise Missing("namespaces", "cannot be seen", "this needs root", "run it with sudo")


def read_sysctls(keys: Iterable[str]) -> dict[str, str]:
    """Read switches of the host; one that is not there is left out."""
    found = {}
    for key in keys:
        try:
            found[key] = (Path("/proc") / procfs.sysctl_place(key)).read_text().strip()
        except FileNotFoundError:
            continue
    return found


def read_rules() -> dict[str, tuple[str, ...]]:
    """Read iptables once, as iptables-save prints it, by table. Raises: Missing, StepFailed."""
    return begin_rules()()


def begin_rules() -> Callable[[], dict[str, tuple[str, ...]]]:
    """Begin to read iptables, and give what waits for it: other things may be read meanwhile.

    Raises: Missing; what it gives raises StepFailed.
    """
    reading = shell.begin(["iptables-save"])

    def wait() -> dict[str, tuple[str, ...]]:
        tables: dict[str, list[str]] = {table: [] for table in _TABLES}
        current: list[str] = []
        for line in reading().splitlines():
            if line.startswith("*"):
                current = tables.setdefault(line[1:], [])
            elif line.startswith((":", "-A ")):
                current.append(line)
        return {table: tuple(lines) for table, lines in tables.items()}

    return wait


def digest(content: str | bytes) -> str:
    """Give the short digest by which a file of ours is compared."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:12]


def _files(steps: tuple[Step, ...]) -> Iterable[tuple[str, str]]:
    for step in steps:
        if isinstance(step, (File, Directory)):
            path = Path(step.path)
            if path.is_dir():
                there = path.stat()
                yield step.path, directory_facts(there.st_mode & 0o7777, there.st_uid)
            elif path.is_file():
                mode = path.stat().st_mode & 0o7777
                yield step.path, file_facts(digest(path.read_bytes()), mode)


def _located(process: ProcessFacts, places: InstancePaths) -> ProcessFacts:
    """Add what /proc says of a supervised process: its namespace and the script it came from."""
    if process.pid is None:
        return process
    try:
        inode = os.stat(f"/proc/{process.pid}/ns/net").st_ino
        environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        started = _started(process.pid)
        written = (places.run / "launch" / process.replica).stat().st_mtime
    except OSError:
        return process
    key = b"TWINSTACK_LAUNCH="
    launches = [one.removeprefix(key).decode() for one in environment if one.startswith(key)]
    # nginx writes its title over its environment: then the time must tell.
    launch = launches[0] if launches else "older" if started < written - _CLOCK_TICK_S else None
    return replace(process, launch=launch, namespace_inode=inode)


def _started(pid: int) -> float:
    """Give when a process was started, in seconds of the epoch. Source: proc_pid_stat(5)."""
    since_boot = procfs.stat(pid).start_ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)
