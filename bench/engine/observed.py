"""What confines a running process, as the kernel sees it: limits, seccomp, mounts, output.

Read from /proc and the host's cgroup file systems, in the same way for both worlds, so that
"the limits are alike" is observed and not remembered. twinstack/linux/cgroup.py reads the limits.

Source: proc(5), cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2 of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import CannotTell
from twinstack.linux.cgroup import ControlGroup
from twinstack.linux.procfs import parse_status
from twinstack.world import LocalWorld


@dataclass(frozen=True, slots=True)
class Confinement:
    """One process. Units: cores, microseconds, bytes; None is "no limit"."""

    cpus: float | None
    period_us: int | None
    memory_bytes: int | None
    swap_bytes: int | None  # v1: memory and swap, v2: swap; None too where swap is not counted
    pids: int | None
    open_files: str  # soft and hard
    seccomp: str
    no_new_privs: bool
    capabilities: str
    speculation: str
    root: str
    data: str  # the file system of its data directory
    stdout: str


def parse_mount(mountinfo: str, path: str) -> str:
    """Name the file system mounted at a path in a process's root, or "part of its root"."""
    kinds = [
        line.partition(" - ")[2].split(" ")[0]
        for line in mountinfo.splitlines()
        if line.split(" ")[4] == path
    ]
    return kinds[-1] if kinds else "part of its root"


def parse_open_files(text: str) -> str:
    """Read /proc/PID/limits: the soft and the hard limit of open files."""
    for line in text.splitlines():
        if line.startswith("Max open files"):
            soft, hard = line.removeprefix("Max open files").split()[:2]
            return soft if soft == hard else f"{soft} (hard {hard})"
    return "?"


def limited(world: LocalWorld) -> list[str]:
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
        mounts = (proc / "mountinfo").read_text(encoding="utf-8", errors="replace")
        limits = ControlGroup.of(pid).limits()
        open_files = parse_open_files((proc / "limits").read_text(encoding="ascii"))
        stdout = str((proc / "fd" / "1").readlink())
    except (OSError, ValueError) as error:
        raise CannotTell(
            f"process {pid}", "cannot be looked at", str(error), "run as root, while it is up"
        ) from error
    return Confinement(
        cpus=limits.cpus,
        period_us=limits.period_us,
        memory_bytes=limits.memory_bytes,
        swap_bytes=limits.swap_bytes,
        open_files=open_files,
        pids=limits.pids,
        seccomp={"0": "none", "1": "strict", "2": "filter"}.get(status.get("Seccomp", ""), "?"),
        no_new_privs=status.get("NoNewPrivs") == "1",
        capabilities=status.get("CapEff", "?"),
        speculation=status.get("Speculation_Store_Bypass", "?"),
        root=parse_mount(mounts, "/"),
        data=parse_mount(mounts, data) if data else "",
        stdout=stdout.split(":", 1)[0] if ":[" in stdout else "file",
    )


def throttled_us(pid: int) -> int:
    """Give how long a process's cgroup has been throttled by its CPU quota, so far.

    Raises: CannotTell when it is gone.
    """
    try:
        return ControlGroup.of(pid).throttled_us()
    except OSError as error:
        raise CannotTell(f"process {pid}", "cannot be looked at", str(error)) from error
