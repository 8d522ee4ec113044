"""What holds a replica: limits, privileges, scheduling, namespaces, and cgroups with every parent.

Each value is read of every lasting process of the replica; one that is not the same in all shows
them all. Source: proc(5), cgroups(7), and cgroup-v1 and cgroup-v2 in the kernel's admin-guide.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from twinstack.linux.cgroup import parse_mounts, read_paths
from twinstack.linux.procfs import PROC, MountEntry, read_status

Values = Mapping[str, str]

#: RLIMIT_*, in the order of /proc/PID/limits.
_RLIMITS = (
    "cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio "
    "rttime"
)
_STATUS = {
    "user": "Uid",
    "group": "Gid",
    "groups": "Groups",
    "umask": "Umask",
    "capabilities.effective": "CapEff",
    "capabilities.bounding": "CapBnd",
    "no_new_privs": "NoNewPrivs",
    "seccomp.mode": "Seccomp",
    "seccomp.filters": "Seccomp_filters",
    "speculation.store_bypass": "Speculation_Store_Bypass",
    "speculation.indirect_branch": "SpeculationIndirectBranch",
    "thp": "THP_enabled",
    "sched.cpus": "Cpus_allowed_list",
    "sched.memory_nodes": "Mems_allowed_list",
}
_FILES = {
    "lsm": "attr/current",
    "oom_score_adj": "oom_score_adj",
    "timer_slack_ns": "timerslack_ns",
    "personality": "personality",
}
_SCHEDULERS = {os.SCHED_OTHER: "other", os.SCHED_BATCH: "batch", os.SCHED_IDLE: "idle"}
#: Files of cgroups, and the value by which a parent of one restricts nothing.
_CGROUP_FILES = (
    "cpu.shares=1024 cpu.cfs_quota_us=-1 cpu.cfs_period_us=100000 cpu.cfs_burst_us=0 cpu.idle=0 "
    "cpu.weight=100 cpu.max=max,100000 cpu.max.burst=0 cpu.uclamp.max=max cpuset.cpus= "
    "cpuset.mems= memory.limit_in_bytes=max memory.memsw.limit_in_bytes=max "
    "memory.soft_limit_in_bytes=max "
    "memory.swappiness=60 memory.max=max memory.high=max memory.swap.max=max pids.max=max "
    "blkio.weight=500 io.weight=default,100 io.max="
)
_NO_LIMIT = 1 << 60


def limit_values(main: int, pids: Iterable[int]) -> dict[str, str]:
    """Read what holds the processes of a replica. Raises: OSError when the main one is gone."""
    values: dict[str, dict[str, None]] = {}
    for pid in (main, *pids):
        with suppress(*(() if pid == main else (FileNotFoundError, ProcessLookupError))):
            for key, value in list(_held(pid)):
                values.setdefault(key, {})[value] = None
    return {key: " | ".join(each) for key, each in values.items()}


def _held(pid: int) -> Iterator[tuple[str, str]]:
    here, status = PROC / str(pid), read_status(pid)
    for key, name in _STATUS.items():
        yield key, " ".join(status.get(name, "unknown").split()) or "none"
    yield from rlimits((here / "limits").read_text()).items()
    yield from ((key, _read(here / file)) for key, file in _FILES.items())
    policy = os.sched_getscheduler(pid)
    yield "sched.policy", _SCHEDULERS.get(policy, f"policy {policy}")
    yield "sched.priority", str(os.sched_getparam(pid).sched_priority)
    yield "sched.nice", str(os.getpriority(os.PRIO_PROCESS, pid))
    yield "namespaces", _namespaces(here)
    yield from _cgroups(pid)


def rlimits(text: str) -> dict[str, str]:
    """Read /proc/PID/limits: the soft and the hard limit of each; pure."""
    rows = [line[26:].split()[:2] for line in text.splitlines()[1:]]
    pairs = zip(_RLIMITS.split(), rows, strict=True)
    return {
        f"rlimit.{name}": soft if soft == hard else f"{soft} (hard {hard})"
        for name, (soft, hard) in pairs
    }


def mounted_at(mounts: tuple[MountEntry, ...], path: str) -> str:
    """Name the file system that serves a path in a process's root, with its options; pure."""
    covering = [
        mount
        for mount in mounts
        if path == mount.path or path.startswith(f"{mount.path.rstrip('/')}/")
    ]
    longest = max(len(mount.path) for mount in covering)
    mount = [mount for mount in covering if len(mount.path) == longest][-1]
    shown = {option for option in mount.super_options if "/" not in option and option != "rw"}
    layers = [
        f"layers={option.count(':') + 1}"
        for option in mount.super_options
        if option.startswith("lowerdir=")
    ]
    return " ".join([mount.kind, *mount.options, *sorted(shown - {*mount.options}), *layers])


def with_parents(own: str, parents: list[str], neutral: set[str]) -> str:
    """Write a cgroup's value, and those of parents that hold it to something more; pure."""
    restricting = [value for value in parents if value not in neutral]
    return ", parents ".join([own or "none", *([" ".join(restricting)] if restricting else [])])


def _cgroups(pid: int) -> Iterator[tuple[str, str]]:
    own, mounts = read_paths(pid), parse_mounts((PROC / "self/mountinfo").read_text())
    depths = {}
    for word in _CGROUP_FILES.split():
        file, _, unrestricted = word.partition("=")
        controller = file.partition(".")[0]
        hierarchy = controller if controller in own else ""
        if hierarchy not in own or hierarchy not in mounts:
            continue
        path = Path(own[hierarchy].lstrip("/"))
        levels = [mounts[hierarchy] / level for level in (path, *path.parents)]
        depths[controller] = len(levels) - 1
        files = {level: level / file for level in levels if (level / file).is_file()}
        values = {level: _unit(path.read_text()) for level, path in files.items()}
        if values:
            neutral = {unrestricted, values.get(mounts[hierarchy], unrestricted)}
            first, *parents = values.values()
            yield f"cgroup.{file}", with_parents(first, parents, neutral)
    yield "cgroup.depth", " ".join(f"{name}={depth}" for name, depth in sorted(depths.items()))


def _unit(text: str) -> str:
    value = ",".join(text.split())
    return "max" if value.isdigit() and int(value) >= _NO_LIMIT else value


def _read(file: Path) -> str:
    """Read one value; "none" where the kernel has nothing to say, such as a label without LSM."""
    try:
        return file.read_text().strip("\0\n ") or "none"
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOENT} and file.parent.exists():
            return "none"
        raise


def _namespaces(here: Path) -> str:
    """Name the kinds of namespaces that are not ours."""
    ours, kinds = PROC / "self/ns", (here / "ns").iterdir()
    own = (kind.name for kind in kinds if kind.readlink() != (ours / kind.name).readlink())
    return " ".join(sorted(name for name in own if "_for_" not in name)) or "none"
