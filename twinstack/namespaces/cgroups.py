"""The cgroup of each replica, on version 1, version 2 or a host that mixes them.

Which version serves a controller is read off the mounts, controller by controller: a cgroup2
mount alone does not mean that version 2 limits anything. Source: cgroups(7).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import Missing, StepFailed
from twinstack.model.plan import Limits, Plan
from twinstack.namespaces.process_steps import Cgroup

CONTROLLERS = ("cpu", "cpuacct", "memory", "pids")
UNLIMITED = "max"
#: Files of version 1 that say -1, or a very large number, for no limit.
_VERSION_1 = frozenset({"cpu.cfs_quota_us", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"})
_PERIOD_US = 100_000
_HUGE = 1 << 60


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each controller is mounted, and by which version; whether swap can be limited."""

    mounts: Mapping[str, Path]
    version: Mapping[str, int]
    swap: bool = False

    def directories(self, path: str) -> tuple[Path, ...]:
        """Give the directories that make up one cgroup, each once."""
        return tuple(dict.fromkeys(mount / path for mount in self.mounts.values()))


def read_layout(mountinfo: str | None = None) -> Layout:
    """Find out which version serves which controller.

    Raises: Missing when a controller that we limit by is served by none.
    """
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    mounts: dict[str, Path] = {}
    version: dict[str, int] = {}
    unified: Path | None = None
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        where, (kind, _, options) = Path(before.split()[4]), after.split(" ", 2)
        if kind == "cgroup2":
            unified = unified or where
        elif kind == "cgroup":
            for controller in set(options.split(",")) & set(CONTROLLERS):
                mounts[controller], version[controller] = where, 1
    if unified is not None:
        try:
            offered = set((unified / "cgroup.controllers").read_text().split())
        except OSError:
            offered = set()
        if "cpu" in offered:
            offered.add("cpuacct")  # version 2 always accounts
        for controller in offered & set(CONTROLLERS) - set(mounts):
            mounts[controller], version[controller] = unified, 2
    if lost := [one for one in CONTROLLERS if one not in mounts]:
        raise Missing(
            "cgroups",
            "cannot limit",
            f"no controller {', '.join(lost)} is mounted",
            'run "invoke doctor"',
        )
    return Layout(
        {one: mounts[one] for one in CONTROLLERS},
        version,
        _accounts_swap(mounts, version) if mountinfo is None else False,
    )


def _accounts_swap(mounts: Mapping[str, Path], version: Mapping[str, int]) -> bool:
    """Tell whether swap can be limited; version 2 shows it in any cgroup but the root."""
    memory = mounts["memory"]
    if version["memory"] == 1:
        return (memory / "memory.memsw.limit_in_bytes").exists()
    return any(memory.glob("*/memory.swap.max"))


def path_of(instance: str, replica: str) -> str:
    """Give a replica's cgroup path below each controller's mount."""
    return f"twinstack/{instance}/{replica}"


def step(plan: Plan, replica: str, limits: Limits | None, layout: Layout) -> Cgroup:
    """Decide a replica's cgroup as a step."""
    path = path_of(plan.instance, replica)
    wanted = dict(_wanted(limits, layout))
    files: list[tuple[str, str]] = []
    for directory in layout.directories(path):
        written = [
            (str(directory / key), _written(key, value))
            for key, value in wanted.items()
            if _directory_of(key, path, layout) == directory
        ]
        files += written or [(str(directory / "cgroup.procs"), "")]
    return Cgroup(replica, path, limits, tuple(wanted.items()), tuple(files))


def _written(key: str, value: str) -> str:
    """Version 1 is told -1 where version 2 is told max."""
    return "-1" if key in _VERSION_1 and value == UNLIMITED else value


def _directory_of(key: str, path: str, layout: Layout) -> Path:
    return layout.mounts[key.partition(".")[0]] / path


def _wanted(limits: Limits | None, layout: Layout) -> Iterator[tuple[str, str]]:
    quota = UNLIMITED if limits is None else str(round(limits.cpus * _PERIOD_US))
    memory = UNLIMITED if limits is None else str(limits.memory_bytes)
    if layout.version["cpu"] == 1:
        yield "cpu.cfs_quota_us", quota
    else:
        yield "cpu.max", f"{quota} {_PERIOD_US}"
    yield ("memory.limit_in_bytes" if layout.version["memory"] == 1 else "memory.max"), memory
    # No swap beyond it, as Docker has it, where the kernel accounts swap at all.
    if layout.swap:
        if layout.version["memory"] == 1:
            yield "memory.memsw.limit_in_bytes", memory
        else:
            yield "memory.swap.max", UNLIMITED if limits is None else "0"
    yield "pids.max", UNLIMITED if limits is None else str(limits.pids)


def read(cgroup: Cgroup) -> dict[str, str] | None:
    """Read a cgroup's limits back, in our words; None when any of its directories is absent."""
    found: dict[str, str] = {}
    for file, _ in cgroup.files:
        path = Path(file)
        if not path.parent.is_dir():
            return None
        if path.name != "cgroup.procs":
            found[path.name] = _normal(path.name, path.read_text().strip())
    return found


def _normal(key: str, value: str) -> str:
    """Version 1 says -1, or the largest number of pages, where version 2 says max."""
    if key in _VERSION_1:
        return UNLIMITED if int(value) < 0 or int(value) > _HUGE else value
    return value


def apply(cgroup: Cgroup, layout: Layout) -> None:
    """Make a cgroup and write its limits. Raises: StepFailed."""
    try:
        for directory in layout.directories(cgroup.path):
            directory.mkdir(parents=True, exist_ok=True)
            with_swap = directory / "memory.memsw.limit_in_bytes"
            if with_swap.exists():  # never below the other: out of the way before that moves
                with_swap.write_text("-1")
        _delegate(cgroup.path, layout)
        for file, value in cgroup.files:
            if value:
                Path(file).write_text(value)
    except OSError as error:
        raise StepFailed(cgroup.name, "cannot be made", str(error), "") from error


def _delegate(path: str, layout: Layout) -> None:
    """Version 2 hands a controller down one level at a time."""
    for mount in {layout.mounts[one] for one in CONTROLLERS if layout.version[one] == 2}:
        wanted = [one for one in ("cpu", "memory", "pids") if layout.version[one] == 2]
        for parent in reversed([mount / one for one in list(Path(path).parents)]):
            there = (parent / "cgroup.subtree_control").read_text().split()
            for controller in wanted:
                if controller not in there:
                    (parent / "cgroup.subtree_control").write_text(f"+{controller}")


def processes(instance: str, replica: str, layout: Layout) -> tuple[int, ...]:
    """List the processes in a replica's cgroup."""
    found: set[int] = set()
    for directory in layout.directories(path_of(instance, replica)):
        try:
            found |= {int(word) for word in (directory / "cgroup.procs").read_text().split()}
        except OSError:
            continue
    return tuple(sorted(found))


def cpu_us(instance: str, replica: str, layout: Layout) -> int:
    """Give a replica's CPU time so far. Units: microseconds. Raises: StepFailed."""
    directory = layout.mounts["cpuacct"] / path_of(instance, replica)
    try:
        if layout.version["cpuacct"] == 1:
            return int((directory / "cpuacct.usage").read_text()) // 1000
        fields = dict(line.split() for line in (directory / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"])
    except OSError as error:
        raise StepFailed(f"cgroup {replica}", "cannot be read", str(error), "") from error


def existing(instance: str, layout: Layout) -> tuple[str, ...]:
    """List the cgroups that an instance has, whoever declared them."""
    found: set[str] = set()
    for directory in layout.directories(f"twinstack/{instance}"):
        if directory.is_dir():
            found |= {child.name for child in directory.iterdir() if child.is_dir()}
    return tuple(sorted(found))


def end_processes(instance: str, replica: str, layout: Layout, *, within_s: float = 5.0) -> int:
    """Kill what still runs in a replica's cgroup and wait until it is gone; give how many.

    Only members of our own cgroup are ever signalled. Raises: StepFailed when one stays.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + within_s
    while left := processes(instance, replica, layout):
        if time.monotonic() > deadline:
            raise StepFailed(f"cgroup {replica}", "is not empty", f"processes {left} stay")
        for pid in left:
            ended.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
    return len(ended)


def remove(instance: str, replica: str, layout: Layout) -> None:
    """Remove an emptied cgroup. Raises: StepFailed."""
    for directory in layout.directories(path_of(instance, replica)):
        _remove_directory(directory)


def remove_parents(instance: str, layout: Layout) -> None:
    """Remove the instance's own level, and ours above it once no instance is left."""
    for path in (f"twinstack/{instance}", "twinstack"):
        for directory in layout.directories(path):
            if directory.is_dir() and not any(one.is_dir() for one in directory.iterdir()):
                _remove_directory(directory)


def _remove_directory(directory: Path) -> None:
    deadline = time.monotonic() + 2.0
    while directory.is_dir():
        try:
            directory.rmdir()
        except OSError as error:
            # A process just killed leaves its cgroup a moment after it left /proc.
            if time.monotonic() > deadline:
                raise StepFailed(f"cgroup {directory}", "cannot be removed", str(error)) from error
            time.sleep(0.01)
