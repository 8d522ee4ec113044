"""What a running process is held to, as the kernel sees it: limits, seccomp, mounts, output.

Read from /proc and the cgroup file systems of the host, in the same way for both worlds, so that
"the limits are alike" is observed and not remembered. Parsers are pure.

Source: proc(5), cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2 of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import CannotTell
from twinstack.world import World

#: cgroup v1 writes "no limit" as the largest page-aligned number.
_NO_MEMORY_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True)
class Confinement:
    """One process's. Units: cores, microseconds, bytes; None is "no limit".

    `swap_bytes` is that of the kernel's own file: memory and swap together on cgroup v1, swap
    alone on v2; None too where the kernel keeps no account of swap. `open_files` soft and hard.
    """

    cpus: float | None
    period_us: int | None
    memory_bytes: int | None
    swap_bytes: int | None
    pids: int | None
    open_files: str
    seccomp: str
    no_new_privs: bool
    capabilities: str
    speculation: str
    root: str
    data: str
    stdout: str


def parse_status(text: str) -> dict[str, str]:
    """Read /proc/PID/status."""
    rows = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, _, value in rows}


def parse_cgroup(text: str) -> dict[str, str]:
    """Read /proc/PID/cgroup: each controller's path; the unified hierarchy's under ""."""
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def parse_hierarchies(mountinfo: str) -> dict[str, Path]:
    """Find where each controller is mounted; cgroup v2 under ""."""
    found: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        place = Path(left.split(" ")[4])
        if kind == "cgroup2":
            found.setdefault("", place)
        elif kind == "cgroup":
            for option in options.split(","):
                found.setdefault(option, place)
    return found


def parse_mount(mountinfo: str, place: str) -> str:
    """Name the file system mounted at a place in a process's root, or "part of its root"."""
    kinds = [
        line.partition(" - ")[2].split(" ")[0]
        for line in mountinfo.splitlines()
        if line.split(" ")[4] == place
    ]
    return kinds[-1] if kinds else "part of its root"


def parse_quota(text: str) -> tuple[float | None, int | None]:
    """Read cpu.max: cores and the period in microseconds."""
    quota, period = text.split()
    return (None if quota == "max" else int(quota) / int(period)), int(period)


def parse_limit(text: str) -> int | None:
    """Read memory.max, memory.limit_in_bytes or pids.max."""
    word = text.strip()
    return None if word == "max" or int(word) >= _NO_MEMORY_LIMIT else int(word)


def parse_open_files(text: str) -> str:
    """Read /proc/PID/limits: the soft and the hard limit of open files."""
    for line in text.splitlines():
        if line.startswith("Max open files"):
            soft, hard = line.removeprefix("Max open files").split()[:2]
            return soft if soft == hard else f"{soft} (hard {hard})"
    return "?"


def limited(world: World) -> list[str]:
    """Name the replicas whose CPU is limited, as the kernel sees it. Raises: CannotTell."""
    return [
        state.name
        for state in world.status()
        if state.pid is not None and confinement(state.pid).cpus is not None
    ]


def confinement(pid: int, data: str | None = None) -> Confinement:
    """Look at a process; `data` is the directory, in its root, that it keeps data in.

    Raises: CannotTell when it is gone or may not be looked at.
    """
    proc = Path("/proc") / str(pid)
    try:
        status = parse_status((proc / "status").read_text(encoding="utf-8", errors="replace"))
        groups = parse_cgroup((proc / "cgroup").read_text(encoding="utf-8"))
        mounts = (proc / "mountinfo").read_text(encoding="utf-8", errors="replace")
        hierarchies = parse_hierarchies(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
        cpus, period_us = _cpu(groups, hierarchies)
        memory = _least(groups, hierarchies, "memory", "memory.limit_in_bytes", "memory.max")
        swap = _least(
            groups, hierarchies, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max"
        )
        open_files = parse_open_files((proc / "limits").read_text(encoding="ascii"))
        stdout = str((proc / "fd" / "1").readlink())
    except (OSError, ValueError) as error:
        raise CannotTell(
            f"process {pid}", "cannot be looked at", str(error), "run as root, while it is up"
        ) from error
    return Confinement(
        cpus=cpus,
        period_us=period_us,
        memory_bytes=memory,
        swap_bytes=swap,
        open_files=open_files,
        pids=_least(groups, hierarchies, "pids", "pids.max", "pids.max"),
        seccomp={"0": "none", "1": "strict", "2": "filter"}.get(status.get("Seccomp", ""), "?"),
        no_new_privs=status.get("NoNewPrivs") == "1",
        capabilities=status.get("CapEff", "?"),
        speculation=status.get("Speculation_Store_Bypass", "?"),
        root=parse_mount(mounts, "/"),
        data=parse_mount(mounts, data) if data else "",
        stdout=stdout.split(":", 1)[0] if ":[" in stdout else "file",
    )


def throttled_us(pid: int) -> int:
    """Tell how long a process's cgroup has been kept from running by its CPU quota, so far.

    Raises: CannotTell when it is gone. Source: cpu.stat (v1: nanoseconds, v2: microseconds).
    """
    try:
        groups = parse_cgroup((Path("/proc") / str(pid) / "cgroup").read_text(encoding="utf-8"))
        hierarchies = parse_hierarchies(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
        for level in _levels(groups, hierarchies, "cpu")[:1]:
            return parse_throttled((level / "cpu.stat").read_text(encoding="ascii"))
    except OSError as error:
        raise CannotTell(f"process {pid}", "cannot be looked at", str(error)) from error
    return 0


def parse_throttled(text: str) -> int:
    """Read cpu.stat: microseconds throttled so far; 0 where no quota is kept."""
    found = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    if "throttled_usec" in found:
        return int(found["throttled_usec"])
    return int(found.get("throttled_time", "0")) // 1000


def _levels(groups: dict[str, str], hierarchies: dict[str, Path], controller: str) -> list[Path]:
    """List a process's cgroup directories, its own first; v1's where the controller is there."""
    key = controller if controller in groups and controller in hierarchies else ""
    if key not in groups or key not in hierarchies:
        return []
    inner = Path(groups[key].lstrip("/"))
    return [hierarchies[key] / one for one in (inner, *inner.parents)]


def _least(
    groups: dict[str, str], hierarchies: dict[str, Path], controller: str, v1: str, v2: str
) -> int | None:
    found = []
    for level in _levels(groups, hierarchies, controller):
        for name in {v1, v2}:
            if (level / name).is_file():
                limit = parse_limit((level / name).read_text(encoding="ascii"))
                found += [] if limit is None else [limit]
    return min(found, default=None)


def _cpu(groups: dict[str, str], hierarchies: dict[str, Path]) -> tuple[float | None, int | None]:
    found: list[tuple[float, int]] = []
    for level in _levels(groups, hierarchies, "cpu"):
        if (level / "cpu.max").is_file():
            cpus, period_us = parse_quota((level / "cpu.max").read_text(encoding="ascii"))
        elif (level / "cpu.cfs_quota_us").is_file():
            quota = (level / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (level / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
            cpus, period_us = parse_quota(f"{'max' if quota == '-1' else quota} {period}")
        else:
            continue
        if cpus is not None and period_us is not None:
            found.append((cpus, period_us))
    return min(found, default=(None, None))
