"""Read from /proc how each process of a world is confined: the same way for every world.

The world gives pids and nothing more; all else is the kernel's word. A process that is only just
starting (the launch script, an engine's helper in a container) is still privileged: a process that
looks weak is read again a moment later, and counts when it is still the same and still weak.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from itertools import chain
from pathlib import Path

from twinstack.confinement.requirements import (
    CAPABILITY_SETS,
    LEVEL,
    ConfinedProcess,
    ConfinedReplica,
    ListeningSocket,
    SecretFile,
    process_weaknesses,
)
from twinstack.errors import CannotTell
from twinstack.linux.cgroup import ControlGroup
from twinstack.linux.procfs import (
    PROC,
    MountEntry,
    cmdline,
    read_mounts,
    read_status,
    start_ticks,
)
from twinstack.model.plan import Replica
from twinstack.model.runtimes import SECRETS
from twinstack.world import LocalWorld

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
#: File systems that are views of the kernel's: writing depends on each file's own permission, and
#: what matters of /proc is read file by file.
_VIEWS = frozenset({"proc", "devpts", "mqueue"})
#: null, zero, full, random, urandom, tty, ptmx: the devices that every container has.
_HARMLESS = frozenset({(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)})
#: A shorter line of a secret's file would be found everywhere.
_MIN_SECRET_LENGTH = 12
_STARTING_S = 3.0
_AGAIN_S = 0.3
_TCP_LISTEN, _UDP_UNCONNECTED = "0A", "07"
_GONE = (FileNotFoundError, ProcessLookupError)


def look(world: LocalWorld) -> tuple[ConfinedReplica, ...]:
    """Read every process of a world. Raises: CannotTell where a replica has none."""
    owners = {process.pid: world.plan.replica(process.replica) for process in world.processes()}
    processes = _settled(owners, tuple(_secret_texts(owners)))
    return tuple(
        _replica(world, replica, [processes[pid] for pid in processes if owners[pid] == replica])
        for replica in world.plan.replicas
    )


def _replica(
    world: LocalWorld, replica: Replica, processes: list[ConfinedProcess]
) -> ConfinedReplica:
    sockets: dict[str, list[ListeningSocket]] = {}  # by network: processes may not share one
    secrets: dict[str, list[SecretFile]] = {}  # likewise by mount namespace
    for process in processes:
        with suppress(*_GONE):  # it has ended meanwhile
            namespaces = PROC / str(process.pid) / "ns"
            network, mounts = (str((namespaces / kind).readlink()) for kind in ("net", "mnt"))
            if network not in sockets:
                sockets[network] = list(listeners(process.pid))
            if mounts not in secrets:
                secrets[mounts] = list(_secrets(process.pid))
    if not (sockets and secrets):
        raise CannotTell(
            f"the {world.name} world",
            "cannot be judged whole",
            f"no process of {replica.name} stays",
            f'see "invoke {world.name}.status"',
        )
    return ConfinedReplica(
        name=replica.name,
        processes=tuple(processes),
        listeners=tuple(chain.from_iterable(sockets.values())),
        secrets=tuple(chain.from_iterable(secrets.values())),
    )


def _settled(owners: Mapping[int, Replica], secrets: tuple[str, ...]) -> dict[int, ConfinedProcess]:
    """Read the processes, weak ones again until they have had time to start."""
    readings = _read_all(owners, secrets)
    deadline = time.monotonic() + _STARTING_S
    while time.monotonic() < deadline:
        weak = [pid for pid in readings if process_weaknesses(owners[pid], readings[pid])]
        if not weak:
            break
        time.sleep(_AGAIN_S)
        again = _read_all(weak, secrets)
        for pid in weak:
            if pid in again and again[pid].start_ticks == readings[pid].start_ticks:
                readings[pid] = again[pid]
            else:
                del readings[pid]
    return dict(sorted(readings.items()))


def _read_all(pids: Iterable[int], secrets: tuple[str, ...]) -> dict[int, ConfinedProcess]:
    readings = {}
    for pid in pids:
        try:
            readings[pid] = read_process(pid, secrets)
        except _GONE:
            continue
        except (OSError, ValueError) as error:
            cause = str(error)
            raise CannotTell(
                f"process {pid}", "cannot be looked at", cause, "run it as root"
            ) from error
    return readings


def read_process(pid: int, secrets: tuple[str, ...] = ()) -> ConfinedProcess:
    """Read one process. Raises: OSError, ValueError when it is gone. Source: proc(5)."""
    here, started = PROC / str(pid), start_ticks(pid)
    status = read_status(pid)
    if status["State"].startswith(("Z", "X")):
        raise ProcessLookupError(pid)  # it has ended, and its parent has not collected it yet
    mounts = read_mounts(pid)
    root, command = here / "root", " ".join(cmdline(pid))
    uids = _numbers(status["Uid"])
    return ConfinedProcess(
        pid=pid,
        command=command,
        uids=uids,
        gids=_numbers(status["Gid"]),
        groups=_numbers(status["Groups"]),
        capabilities={name: int(status[name], 16) for name in CAPABILITY_SETS},
        no_new_privs=status["NoNewPrivs"] == "1",
        seccomp={"0": "none", "1": "strict", "2": "filter"}[status["Seccomp"]],
        root_read_only=[_is_read_only(m) for m in mounts if m.path == "/"][-1:] == [True],
        writable=tuple(sorted({m.path for m in mounts if _is_writable(root, m, uids[1])})),
        shown=tuple(path for path in LEVEL.masked if _shows(root / path[1:])),
        open=tuple(path for path in LEVEL.read_only if _takes_writing(root / path[1:])),
        namespaces=frozenset(name for name in NAMESPACES if _own_namespace(here, name)),
        limits=ControlGroup.of(pid).limits(),
        sockets=tuple(_sockets(root, mounts)),
        leaked=tuple(_leaks(here, command, secrets)),
        start_ticks=started,
    )


def listeners(pid: int) -> Iterator[ListeningSocket]:
    """List what listens in a process's network. Source: proc_net_tcp of the kernel's documents."""
    for protocol, listening in (("tcp", _TCP_LISTEN), ("udp", _UDP_UNCONNECTED)):
        for file in (PROC / str(pid) / "net" / protocol, PROC / str(pid) / "net" / f"{protocol}6"):
            try:
                lines = file.read_text().splitlines()[1:]
            except FileNotFoundError:
                if file.name.endswith("6"):  # a kernel without IPv6
                    continue
                raise
            for line in lines:
                _, local, _, state = line.split()[:4]
                address, port = local.split(":")
                if state == listening:
                    yield ListeningSocket(protocol, address_of(address), int(port, 16))


def address_of(text: str) -> str:
    """Read an address as /proc writes it: words of 32 bits in this machine's order."""
    words = (bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8))
    data = b"".join(words)
    return str(IPv4Address(data)) if len(data) == 4 else f"[{IPv6Address(data)}]"


def _is_read_only(mount: MountEntry) -> bool:
    return "ro" in mount.options


def _is_writable(root: Path, mount: MountEntry, uid: int) -> bool:
    """Tell whether a user can write to anything in a mount.

    A tmpfs is small enough to walk through; any other file system that is mounted for writing
    counts, whatever its permissions are today.
    """
    if _is_read_only(mount) or mount.kind in _VIEWS:
        return False
    top = root / mount.path.lstrip("/")
    status = os.lstat(top)
    if mount.kind != "tmpfs" or not stat.S_ISDIR(status.st_mode):
        return not _is_harmless(status)
    for directory, directories, files in os.walk(top):
        if os.lstat(directory).st_dev != status.st_dev:
            directories.clear()  # another mount, which is read by itself
            continue
        for path in (Path(directory), *(Path(directory, name) for name in files)):
            entry = os.lstat(path)
            inside = entry.st_dev == status.st_dev and not stat.S_ISLNK(entry.st_mode)
            if inside and not _is_harmless(entry) and _may_write(entry, uid):
                return True
    return False


def _may_write(entry: os.stat_result, uid: int) -> bool:
    """Judge by the mode alone; a service has no capability, and no group but its own."""
    own = stat.S_IWUSR if entry.st_uid == uid else 0
    group = stat.S_IWGRP if entry.st_gid == uid else 0
    return bool(entry.st_mode & (own | group | stat.S_IWOTH))


def _is_harmless(entry: os.stat_result) -> bool:
    device = (os.major(entry.st_rdev), os.minor(entry.st_rdev))
    return stat.S_ISCHR(entry.st_mode) and device in _HARMLESS


def _shows(path: Path) -> bool:
    """Tell whether a masked path shows anything but null, or an empty directory."""
    try:
        entry = os.lstat(path)
        return any(path.iterdir()) if stat.S_ISDIR(entry.st_mode) else not _is_harmless(entry)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _takes_writing(path: Path) -> bool:
    try:
        return not os.statvfs(path).f_flag & os.ST_RDONLY
    except FileNotFoundError:
        return False


def _own_namespace(here: Path, name: str) -> bool:
    try:
        return (here / "ns" / name).readlink() != (PROC / "self/ns" / name).readlink()
    except FileNotFoundError:
        if not (PROC / "self/ns" / name).is_symlink():
            return False  # a kernel without namespaces of this kind
        raise


def _sockets(root: Path, mounts: tuple[MountEntry, ...]) -> Iterator[str]:
    """Name sockets that are mounted into a root, or in its /run: an engine's, a supervisor's."""
    for mount in mounts:
        if stat.S_ISSOCK(os.lstat(root / mount.path.lstrip("/")).st_mode):
            yield mount.path
    for directory, _, files in os.walk(root / "run"):
        for name in files:
            path = Path(directory, name)
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                yield f"/{path.relative_to(root)}"


def _secrets(pid: int) -> Iterator[SecretFile]:
    directory = PROC / str(pid) / "root" / SECRETS.lstrip("/")
    if directory.is_dir():
        for path in sorted(directory.iterdir()):
            status = path.lstat()
            yield SecretFile(path.name, status.st_uid, stat.S_IMODE(status.st_mode))


def _secret_texts(pids: Iterable[int]) -> set[str]:
    """Read every secret of a world, to look for its text where it must not be."""
    texts: set[str] = set()
    for pid in pids:
        directory = PROC / str(pid) / "root" / SECRETS.lstrip("/")
        with suppress(*_GONE):  # it has ended, or needs none
            for path in directory.iterdir():
                texts |= set(path.read_text().splitlines())
    return {text for text in texts if len(text) >= _MIN_SECRET_LENGTH}


def _leaks(here: Path, command: str, secrets: tuple[str, ...]) -> Iterator[str]:
    for entry in (here / "environ").read_bytes().decode(errors="replace").split("\0"):
        name, _, value = entry.partition("=")
        if any(text in value for text in secrets):
            yield name
    if any(text in command for text in secrets):
        yield "its command"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))
