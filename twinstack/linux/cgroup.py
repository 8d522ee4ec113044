"""Control groups, on version 1, version 2 or a host that mixes them.

`Layout` says which version serves which controller: that is read off the mounts, one controller at
a time, as a cgroup2 mount alone does not mean that version 2 limits anything. `ControlGroup` is
one cgroup: its processes, its use of the CPU and the limits that hold in it. Below it, what writes
limits. Source: cgroups(7), cgroup-v1 and cgroup-v2 in the kernel's admin-guide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from twinstack.linux import procfs
from twinstack.linux.procfs import PROC

CONTROLLERS = ("cpu", "cpuacct", "memory", "pids")
UNLIMITED = "max"
_PERIOD_US = 100_000
#: Version 1 writes "no limit" as the largest page-aligned number.
_NO_MEMORY_LIMIT = 1 << 60
#: Files of version 1 that take -1 where version 2 takes "max".
_MINUS_ONE = frozenset({"cpu.cfs_quota_us", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"})


@dataclass(frozen=True, slots=True)
class Layout:
    """Which version serves which controller, and where; a controller that none serves is absent."""

    mounts: Mapping[str, Path]  # controller → where its hierarchy is mounted
    version: Mapping[str, int]  # controller → 1 or 2
    swap: bool = False  # the kernel can limit swap

    def directories(self, path: str) -> tuple[Path, ...]:
        """Give the directories that make up one cgroup, each once."""
        return tuple(dict.fromkeys(mount / path for mount in self.mounts.values()))


def parse_mounts(mountinfo: str) -> dict[str, Path]:
    """Find where each controller of version 1 is mounted, and version 2's tree, under ""."""
    mounts: dict[str, Path] = {}
    for mount in procfs.parse_mountinfo(mountinfo):
        names = {"cgroup": mount.super_options, "cgroup2": ("",)}.get(mount.kind, ())
        for name in names:
            mounts.setdefault(name, Path(mount.path))
    return mounts


def read_layout(mountinfo: str | None = None) -> Layout:
    """Find out which version serves which controller, here or by another mountinfo's text."""
    text = (PROC / "self/mountinfo").read_text() if mountinfo is None else mountinfo
    found = parse_mounts(text)
    mounts = {name: found[name] for name in CONTROLLERS if name in found}
    version = dict.fromkeys(mounts, 1)
    if unified := found.get(""):
        for name in _offered(unified) - mounts.keys():
            mounts[name], version[name] = unified, 2
    ordered = {name: mounts[name] for name in CONTROLLERS if name in mounts}
    return Layout(ordered, version, mountinfo is None and _accounts_swap(mounts, version))


def _offered(unified: Path) -> set[str]:
    try:
        offered = set((unified / "cgroup.controllers").read_text().split())
    except OSError:
        return set()
    # Version 2 has no cpuacct: its cpu controller accounts.
    return (offered | ({"cpuacct"} if "cpu" in offered else set())) & set(CONTROLLERS)


def _accounts_swap(mounts: Mapping[str, Path], version: Mapping[str, int]) -> bool:
    """Tell whether swap can be limited; version 2 shows it in any cgroup but the root."""
    if "memory" not in mounts:
        return False
    if version["memory"] == 1:
        return (mounts["memory"] / "memory.memsw.limit_in_bytes").exists()
    return any(mounts["memory"].glob("*/memory.swap.max"))


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """What a process's cgroups hold it to: the tightest of all levels; None is "no limit"."""

    cpus: float | None  # cores
    period_us: int | None  # over which the CPU quota is counted
    memory_bytes: int | None
    swap_bytes: int | None  # version 1: memory and swap together; 2: swap alone
    pids: int | None


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """One cgroup: a directory in each controller's hierarchy, its own path in each."""

    layout: Layout
    paths: Mapping[str, str] = field(default_factory=dict)  # controller → below its mount

    @classmethod
    def at(cls, path: str, layout: Layout) -> ControlGroup:
        """Give the cgroup that has the same path in every hierarchy."""
        return cls(layout, dict.fromkeys(layout.mounts, path))

    @classmethod
    def of(cls, pid: int) -> ControlGroup:
        """Give the cgroup that a process is in. Raises: OSError when it is gone."""
        own, layout = read_paths(pid), read_layout()
        keys = {name: name if layout.version[name] == 1 else "" for name in layout.mounts}
        return cls(layout, {name: own[key] for name, key in keys.items() if key in own})

    def levels(self, controller: str) -> tuple[Path, ...]:
        """List a controller's directories from the cgroup's own up to its mount."""
        if controller not in self.paths:
            return ()
        path = Path(self.paths[controller].lstrip("/"))
        return tuple(self.layout.mounts[controller] / level for level in (path, *path.parents))

    def directory(self, controller: str) -> Path:
        """Give a controller's directory. Raises: FileNotFoundError where there is none."""
        if not (levels := self.levels(controller)):
            raise FileNotFoundError(f"no cgroup hierarchy has {controller}")
        return levels[0]

    def processes(self, *controllers: str) -> tuple[int, ...]:
        """List the processes in it, in any or some hierarchies; none when it is absent."""
        directories = {self.directory(controller) for controller in controllers or self.paths}
        return tuple(sorted({pid for directory in directories for pid in _members(directory)}))

    def cpu_us(self) -> int:
        """Give its CPU time so far, in microseconds. Raises: OSError when it is gone."""
        directory = self.directory("cpuacct")
        if self.layout.version["cpuacct"] == 1:
            return int((directory / "cpuacct.usage").read_text()) // 1000
        return parse_flat_keyed((directory / "cpu.stat").read_text())["usage_usec"]

    def throttled_us(self) -> int:
        """Give how long its CPU quota has kept it waiting. Raises: OSError when it is gone."""
        return throttled_us(parse_flat_keyed((self.directory("cpu") / "cpu.stat").read_text()))

    def limits(self) -> CgroupLimits:
        """Read the limits that hold in it."""
        cpus, period_us = min(self._quotas(), default=(None, None))
        return CgroupLimits(
            cpus,
            period_us,
            self._least("memory", "memory.limit_in_bytes", "memory.max"),
            self._least("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
            self._least("pids", "pids.max", "pids.max"),
        )

    def _quotas(self) -> Iterator[tuple[float, int]]:
        for level in self.levels("cpu"):
            if (level / "cpu.max").is_file():
                quota, period = (level / "cpu.max").read_text().split()
            elif (level / "cpu.cfs_quota_us").is_file():
                quota = (level / "cpu.cfs_quota_us").read_text().strip()
                period = (level / "cpu.cfs_period_us").read_text().strip()
            else:
                continue
            if quota not in {UNLIMITED, "-1"}:
                yield int(quota) / int(period), int(period)

    def _least(self, controller: str, *names: str) -> int | None:
        """Give the tightest of a limit: version 1's file, or version 2's."""
        name = names[self.layout.version[controller] - 1] if controller in self.paths else ""
        files = (level / name for level in self.levels(controller))
        limits = (parse_limit(file.read_text()) for file in files if file.is_file())
        return min((limit for limit in limits if limit is not None), default=None)


def read_paths(pid: int, proc: Path = PROC) -> dict[str, str]:
    """Read a process's cgroup path for each controller of version 1; version 2's is under "".

    Raises: OSError when it is gone.
    """
    paths: dict[str, str] = {}
    for line in (proc / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def parse_limit(text: str) -> int | None:
    """Read memory.max, memory.limit_in_bytes or pids.max."""
    word = text.strip()
    return None if word == UNLIMITED or int(word) >= _NO_MEMORY_LIMIT else int(word)


def parse_flat_keyed(text: str) -> dict[str, int]:
    """Read cpu.stat or memory.stat: a name and a number on each line."""
    pairs = (line.partition(" ") for line in text.splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


def throttled_us(cpu_stat: Mapping[str, int]) -> int:
    """Give the time throttled: version 1 counts it in nanoseconds."""
    return cpu_stat.get("throttled_usec", cpu_stat.get("throttled_time", 0) // 1000)


def _members(directory: Path) -> Iterator[int]:
    try:
        yield from map(int, (directory / "cgroup.procs").read_text().split())
    except OSError:
        return


def limit_values(
    layout: Layout, cpus: float | None, memory_bytes: int | None, pids: int | None
) -> dict[str, str]:
    """Name each limit's file and its value, "max" for none. No swap beyond the memory, as Docker.

    Units: cpus in cores.
    """

    def value(limit: float | None) -> str:
        return UNLIMITED if limit is None else str(round(limit))

    quota, memory = value(None if cpus is None else cpus * _PERIOD_US), value(memory_bytes)
    one = {name: layout.version[name] == 1 for name in ("cpu", "memory")}
    values = {"cpu.cfs_quota_us": quota} if one["cpu"] else {"cpu.max": f"{quota} {_PERIOD_US}"}
    values["memory.limit_in_bytes" if one["memory"] else "memory.max"] = memory
    if layout.swap and one["memory"]:
        values["memory.memsw.limit_in_bytes"] = memory
    elif layout.swap:
        values["memory.swap.max"] = UNLIMITED if memory_bytes is None else "0"
    return {**values, "pids.max": value(pids)}


def limit_files(path: str, layout: Layout, values: Mapping[str, str]) -> dict[Path, str]:
    """Say what to write where; "" stands for a directory of the cgroup that has no limit."""
    files: dict[Path, str] = {}
    for directory in layout.directories(path):
        own = {
            directory / name: "-1" if name in _MINUS_ONE and value == UNLIMITED else value
            for name, value in values.items()
            if layout.mounts[name.partition(".")[0]] / path == directory
        }
        files |= own or {directory / "cgroup.procs": ""}
    return files


def set_cpus(group: ControlGroup, cpus: float | None) -> None:
    """Write a CPU quota; None: no limit. Units: cores. Raises: OSError."""
    values = limit_values(group.layout, cpus, None, None)
    name, value = next((key, value) for key, value in values.items() if key.startswith("cpu."))
    minus = name in _MINUS_ONE and value == UNLIMITED
    (group.directory("cpu") / name).write_text("-1" if minus else value)


def read_limit(file: Path) -> str:
    """Read a limit back in the words of `limit_values`. Raises: OSError."""
    value = file.read_text().strip()
    if file.name in _MINUS_ONE and (int(value) < 0 or int(value) >= _NO_MEMORY_LIMIT):
        return UNLIMITED
    return value


def create(path: str, layout: Layout, files: Mapping[Path, str]) -> None:
    """Create a cgroup and write its limits. Raises: OSError."""
    for directory in layout.directories(path):
        directory.mkdir(parents=True, exist_ok=True)
        with_swap = directory / "memory.memsw.limit_in_bytes"
        if with_swap.exists():  # never below the other: out of the way before that moves
            with_swap.write_text("-1")
    _delegate(path, layout)
    for file, value in files.items():
        if value:
            file.write_text(value)


def _delegate(path: str, layout: Layout) -> None:
    """Version 2 hands a controller down one level at a time."""
    handed = [name for name in ("cpu", "memory", "pids") if layout.version[name] == 2]
    for mount in {layout.mounts[name] for name in handed}:
        for parent in reversed([mount / level for level in Path(path).parents]):
            control = parent / "cgroup.subtree_control"
            enabled = control.read_text().split()
            for controller in handed:
                if controller not in enabled:
                    control.write_text(f"+{controller}")
