"""How a replica's processes are held, and what they see of files, as a flat table.

Read from /proc and the cgroups by way of the main process: the same for either world.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from twinstack.linux import procfs
from twinstack.linux.cgroup import ControlGroup

_STATUS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
_MORE = ("Seccomp", "Cpus_allowed_list")
_FILES = ("etc/hosts", "etc/resolv.conf", "etc/nsswitch.conf", "etc/services", "etc/passwd")
_LARGEST = 1_000_000
#: Of mounts: what the engine and the kernel name by themselves.
_VIEWS = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "overlay"})


def state_of(pid: int, members: Sequence[int]) -> dict[str, str]:
    """Give the table of a replica by its main process and all its processes; {} when it is gone."""
    try:
        return dict(_values(pid, members))
    except (FileNotFoundError, ProcessLookupError):
        return {}


def _values(pid: int, members: Sequence[int]) -> Iterator[tuple[str, str]]:
    yield "processes", "suspended" if any(map(_stands, members)) else "running"
    status = procfs.read_status(pid)
    for name in (*_STATUS, *_MORE):
        yield f"process {name}", " ".join(status.get(name, "").split())
    for line in (procfs.PROC / str(pid) / "limits").read_text().splitlines()[1:]:
        name, soft, hard = re.split(r" {2,}", line.strip())[:3]
        yield f"limit: {name}", f"{soft} {hard}"
    limits = ControlGroup.of(pid).limits()
    for key in ("cpus", "memory_bytes", "swap_bytes", "pids"):
        yield f"cgroup {key}", str(getattr(limits, key))
    for mount in procfs.read_mounts(pid):
        yield from _mount(pid, mount)
    for name in _FILES:
        yield from _file(pid, f"/{name}")


def _stands(pid: int) -> bool:
    try:
        return procfs.stat(pid).state in "Tt"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _mount(pid: int, mount: procfs.MountEntry) -> Iterator[tuple[str, str]]:
    more = " ".join(mount.super_options) if mount.kind == "tmpfs" else ""
    if mount.kind not in _VIEWS and not mount.path.startswith(("/proc", "/sys", "/dev")):
        yield f"mount {mount.path}", f"{mount.kind} {' '.join(mount.options)} {more}".strip()
        yield from _file(pid, mount.path)


def _file(pid: int, path: str) -> Iterator[tuple[str, str]]:
    """Give the digest of a file, or of each in a directory of secrets, as the replica sees it."""
    place = procfs.PROC / str(pid) / "root" / path.lstrip("/")
    if path == "/etc/hostname":
        return
    if path.startswith("/run/secrets") and place.is_dir():
        for each in sorted(place.iterdir()):
            yield f"file {path}/{each.name}", _digest(each)
    elif place.is_file() and not place.is_symlink():
        yield f"file {path}", _digest(place)


def _digest(path: Path) -> str:
    """Give what a file is: its owner, its mode, and whether its content is as it was."""
    try:
        about = path.stat()
        text = path.read_bytes() if about.st_size <= _LARGEST else b""
    except OSError as error:
        return error.strerror or str(error)
    content = hashlib.sha256(lasting(text)).hexdigest()[:12]
    return f"{about.st_uid}:{about.st_gid} {about.st_mode & 0o7777:04o} {content}"


def lasting(text: bytes) -> bytes:
    """Leave out the id by which a container knows itself in /etc/hosts: each one's is its own."""
    return re.sub(rb"(?m)(?<=\t)[0-9a-f]{12}$", b"", text)
