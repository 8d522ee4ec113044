"""How a replica's processes are held, and what they see of files, as a flat table.

Read from /proc and the cgroups by way of the main process: the same for either world.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from twinstack.linux import procfs
from twinstack.linux.cgroup import ControlGroup
from twinstack.model.runtimes import NGINX_CONF, POSTGRES_DATA, REDIS_CONF

_STATUS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
_MORE = ("Seccomp", "Cpus_allowed_list")
_FILES = (
    *("etc/hosts", "etc/resolv.conf", "etc/nsswitch.conf", "etc/services", "etc/passwd"),
    # In a container these are in its root, which the host can write to.
    *(path.lstrip("/") for path in (NGINX_CONF, REDIS_CONF, f"{POSTGRES_DATA}/pg_hba.conf")),
)
_LARGEST = 1_000_000
#: A probe of a replica's health takes no longer.
_PROBES_S = 3.5
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
    for other in _beside(pid, members):
        yield f"process beside it: {other}", ""
    for mount in procfs.read_mounts(pid):
        yield from _mount(pid, mount)
    for name in _FILES:
        yield from _file(pid, f"/{name}")


def _beside(pid: int, members: Sequence[int]) -> Iterator[str]:
    """Name what runs in a replica's network as its user, and is not of it: a forgotten job.

    Probes of its health do too, for a moment. Raises: OSError when the replica is gone.
    """
    network, user = _network_and_user(pid)
    for other in procfs.pids():
        with suppress(OSError):
            if other in members or _network_and_user(other) != (network, user):
                continue
            if time.time() - procfs.started_at(other) > _PROBES_S:
                words = " ".join(procfs.cmdline(other)).split()
                yield f"{words[0]} … {words[-1]}" if words else str(other)


def _network_and_user(pid: int) -> tuple[str, int]:
    here = procfs.PROC / str(pid)
    return os.readlink(here / "ns/net"), here.stat().st_uid


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
        place = procfs.PROC / str(pid) / "root" / mount.path.lstrip("/")
        if place.is_dir() and mount.path != "/":
            about = place.stat()
            owner = f"{about.st_uid}:{about.st_gid} {about.st_mode & 0o7777:04o}"
            yield f"directory {mount.path}", owner


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
        if path.name == "hosts":  # an engine writes its lines in another order as networks go
            text = b"\n".join(sorted({b" ".join(line.split()) for line in text.splitlines()}))
    except OSError as error:
        return error.strerror or str(error)
    content = hashlib.sha256(lasting(text)).hexdigest()[:12]
    return f"{about.st_uid}:{about.st_gid} {about.st_mode & 0o7777:04o} {content}"


def lasting(text: bytes) -> bytes:
    """Leave out the id by which a container knows itself in /etc/hosts: each one's is its own."""
    return re.sub(rb"(?m)(?<=\t)[0-9a-f]{12}$", b"", text)
