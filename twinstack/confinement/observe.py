"""Read from /proc what holds each process of a world: the same way for either world.

The world gives pids and nothing more; all else is the kernel's word. A process that is only just
starting (the launch script, an engine's own helper in a container) is still privileged: what
looks weak is looked at again a moment later, and counts when the same process still is.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from twinstack.confinement.requirements import (
    CAPABILITY_SETS,
    LEVEL,
    Listener,
    ProcessFacts,
    ReplicaFacts,
    SecretFacts,
    process_weaknesses,
)
from twinstack.errors import CannotTell
from twinstack.linux.cgroup import ControlGroup
from twinstack.linux.procfs import cmdline, parse_status, start_ticks
from twinstack.model.plan import Replica
from twinstack.model.runtimes import SECRETS
from twinstack.world import LocalWorld

PROC = Path("/proc")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
#: File systems that are views of the kernel's: writing is by each file's own permission, and
#: what of /proc matters is looked at file by file.
_VIEWS = frozenset({"proc", "devpts", "mqueue"})
#: null, zero, full, random, urandom, tty, ptmx: the devices that every container has.
_HARMLESS = frozenset({(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)})
#: Shorter lines of a secret's file would be found everywhere.
_TELLING = 12
_STARTING_S = 3.0
_AGAIN_S = 0.3
_TCP_LISTEN, _UDP_UNCONNECTED = "0A", "07"


@dataclass(frozen=True, slots=True)
class _Found:
    """A process with the moment of its start, by which it is known again."""

    started: int
    facts: ProcessFacts


def look(world: LocalWorld) -> tuple[ReplicaFacts, ...]:
    """Look at every process of a world. Raises: CannotTell where a replica has none."""
    owners = {one.pid: world.plan.replica(one.replica) for one in world.processes()}
    secrets = tuple(_secret_texts(owners))
    found = _settled(owners, secrets)
    return tuple(
        _replica(world, one, tuple(facts for pid, facts in found.items() if owners[pid] == one))
        for one in world.plan.replicas
    )


def _replica(
    world: LocalWorld, replica: Replica, processes: tuple[ProcessFacts, ...]
) -> ReplicaFacts:
    heard: dict[str, tuple[Listener, ...]] = {}  # by network: two processes may not share one
    secrets: dict[str, tuple[SecretFacts, ...]] = {}  # and so by mount namespace
    for one in processes:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            ns = PROC / str(one.pid) / "ns"
            network, mounts = str((ns / "net").readlink()), str((ns / "mnt").readlink())
            if network not in heard:
                heard[network] = tuple(listeners(one.pid))
            if mounts not in secrets:
                secrets[mounts] = tuple(_secrets(one.pid))
    if not (heard and secrets):
        raise CannotTell(
            f"the {world.name} world",
            "cannot be judged whole",
            f"no process of {replica.name} stays",
            f'see "invoke {world.name}.status"',
        )
    return ReplicaFacts(
        name=replica.name,
        processes=processes,
        listeners=tuple(one for several in heard.values() for one in several),
        secrets=tuple(one for several in secrets.values() for one in several),
    )


def _settled(owners: Mapping[int, Replica], secrets: tuple[str, ...]) -> dict[int, ProcessFacts]:
    """Give the processes there were, weak ones as they are once they have had time to start."""
    found = _all(owners, secrets)
    deadline = time.monotonic() + _STARTING_S
    while time.monotonic() < deadline:
        weak = [pid for pid, one in found.items() if process_weaknesses(owners[pid], one.facts)]
        if not weak:
            break
        time.sleep(_AGAIN_S)
        now = _all(weak, secrets)
        for pid in weak:
            if pid in now and now[pid].started == found[pid].started:
                found[pid] = now[pid]
            else:
                del found[pid]
    return {pid: found[pid].facts for pid in sorted(found)}


def _all(pids: Iterable[int], secrets: tuple[str, ...]) -> dict[int, _Found]:
    found = {}
    for pid in pids:
        try:
            found[pid] = _Found(start_ticks(pid), process(pid, secrets))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        except (OSError, ValueError) as error:
            raise CannotTell(
                f"process {pid}", "cannot be looked at", str(error), "run it as root"
            ) from error
    return found


def process(pid: int, secrets: tuple[str, ...] = ()) -> ProcessFacts:
    """Look at one process. Raises: OSError, ValueError when it is gone. Source: proc(5)."""
    here = PROC / str(pid)
    status = parse_status((here / "status").read_text(encoding="utf-8", errors="replace"))
    if status["State"].startswith(("Z", "X")):
        raise ProcessLookupError(pid)  # it has ended, and only its parent has not asked yet
    mounts = tuple(_mounts((here / "mountinfo").read_text(encoding="utf-8", errors="replace")))
    root = here / "root"
    command = " ".join(cmdline(pid))
    uids = _numbers(status["Uid"])
    return ProcessFacts(
        pid=pid,
        command=command,
        uids=uids,
        gids=_numbers(status["Gid"]),
        groups=_numbers(status["Groups"]),
        capabilities={name: int(status[name], 16) for name in CAPABILITY_SETS},
        no_new_privs=status["NoNewPrivs"] == "1",
        seccomp={"0": "none", "1": "strict", "2": "filter"}[status["Seccomp"]],
        root_read_only=[one.read_only for one in mounts if one.place == "/"][-1:] == [True],
        writable=tuple(sorted({one.place for one in mounts if _writes(root, one, uids[1])})),
        shown=tuple(place for place in LEVEL.masked if _shows(root / place[1:])),
        open=tuple(place for place in LEVEL.read_only if _takes_writing(root / place[1:])),
        namespaces=frozenset(name for name in NAMESPACES if _own_namespace(here, name)),
        limits=ControlGroup.of(pid).limits(),
        sockets=tuple(_sockets(root, mounts)),
        leaked=tuple(_leaks(here, command, secrets)),
    )


def listeners(pid: int) -> Iterator[Listener]:
    """List what listens in a process's network. Source: proc_net_tcp of the kernel's documents."""
    for file, open_state in (
        ("tcp", _TCP_LISTEN),
        ("tcp6", _TCP_LISTEN),
        ("udp", _UDP_UNCONNECTED),
        ("udp6", _UDP_UNCONNECTED),
    ):
        try:
            lines = (PROC / str(pid) / "net" / file).read_text().splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            if file.endswith("6"):
                continue
            raise
        for line in lines:
            _, local, _, state = line.split()[:4]
            address, port = local.split(":")
            if state == open_state:
                yield Listener(file.removesuffix("6"), address_of(address), int(port, 16))


def address_of(text: str) -> str:
    """Read an address as /proc writes it: words of 32 bits in this machine's order."""
    words = [
        int.from_bytes(bytes.fromhex(text[at : at + 8]), "little") for at in range(0, len(text), 8)
    ]
    data = b"".join(word.to_bytes(4, "big") for word in words)
    return str(IPv4Address(data)) if len(data) == 4 else f"[{IPv6Address(data)}]"


@dataclass(frozen=True, slots=True)
class _Mount:
    place: str
    kind: str
    read_only: bool


def _mounts(mountinfo: str) -> Iterator[_Mount]:
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        words = left.split(" ")
        place = words[4].encode().decode("unicode_escape")  # a blank is written \040
        yield _Mount(place, right.split(" ")[0], "ro" in words[5].split(","))


def _writes(root: Path, mount: _Mount, uid: int) -> bool:
    """Tell whether a user can write to anything of a mount.

    A tmpfs is small enough to look through; any other file system that is mounted for writing
    counts, whatever its permissions are today.
    """
    if mount.read_only or mount.kind in _VIEWS:
        return False
    top = root / mount.place.lstrip("/")
    there = os.lstat(top)
    if mount.kind != "tmpfs" or not stat.S_ISDIR(there.st_mode):
        return not _harmless(there)
    for directory, directories, files in os.walk(top):
        if os.lstat(directory).st_dev != there.st_dev:
            directories.clear()  # another mount, looked at by itself
            continue
        for path in (Path(directory), *(Path(directory, name) for name in files)):
            one = os.lstat(path)
            same = one.st_dev == there.st_dev and not stat.S_ISLNK(one.st_mode)
            if same and not _harmless(one) and _may_write(one, uid):
                return True
    return False


def _may_write(there: os.stat_result, uid: int) -> bool:
    """Judge by the mode alone; a service has no capability, and no group but its own."""
    own = stat.S_IWUSR if there.st_uid == uid else 0
    group = stat.S_IWGRP if there.st_gid == uid else 0
    return bool(there.st_mode & (own | group | stat.S_IWOTH))


def _harmless(there: os.stat_result) -> bool:
    device = (os.major(there.st_rdev), os.minor(there.st_rdev))
    return stat.S_ISCHR(there.st_mode) and device in _HARMLESS


def _shows(path: Path) -> bool:
    """Tell whether there is anything but null, or an empty directory, at a masked place."""
    try:
        there = os.lstat(path)
        return any(path.iterdir()) if stat.S_ISDIR(there.st_mode) else not _harmless(there)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _takes_writing(path: Path) -> bool:
    try:
        return not os.statvfs(path).f_flag & os.ST_RDONLY
    except FileNotFoundError:
        return False


def _own_namespace(here: Path, name: str) -> bool:
    try:
        return (here / "ns" / name).readlink() != (PROC / "self" / "ns" / name).readlink()
    except FileNotFoundError:
        if not (PROC / "self" / "ns" / name).is_symlink():
            return False  # a kernel that knows no such namespace
        raise


def _sockets(root: Path, mounts: tuple[_Mount, ...]) -> Iterator[str]:
    """Name sockets that are bound into a root, or lie in its /run: an engine's, a supervisor's."""
    for mount in mounts:
        if stat.S_ISSOCK(os.lstat(root / mount.place.lstrip("/")).st_mode):
            yield mount.place
    for directory, _, files in os.walk(root / "run"):
        for name in files:
            path = Path(directory, name)
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                yield f"/{path.relative_to(root)}"


def _secrets(pid: int) -> Iterator[SecretFacts]:
    directory = PROC / str(pid) / "root" / SECRETS.lstrip("/")
    if directory.is_dir():
        for path in sorted(directory.iterdir()):
            there = path.lstat()
            yield SecretFacts(path.name, there.st_uid, stat.S_IMODE(there.st_mode))


def _secret_texts(pids: Iterable[int]) -> set[str]:
    """Read every secret of a world, so that its text can be looked for where it must not be."""
    found: set[str] = set()
    for pid in pids:
        directory = PROC / str(pid) / "root" / SECRETS.lstrip("/")
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended, or needs none
            for path in directory.iterdir():
                found |= {one for one in path.read_text().splitlines() if len(one) >= _TELLING}
    return found


def _leaks(here: Path, command: str, secrets: tuple[str, ...]) -> Iterator[str]:
    for entry in (here / "environ").read_bytes().decode(errors="replace").split("\0"):
        name, _, value = entry.partition("=")
        if any(text in value for text in secrets):
            yield name
    if any(text in command for text in secrets):
        yield "its command"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split())
