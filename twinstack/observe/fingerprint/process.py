"""What a replica runs: its command, environment, libraries, configuration, mounts and output.

Read from /proc and the process's own root, as `limits` reads what holds it. No value of
a secret is read. What differs by design (its own world's addresses) is renamed, so that the rest
can be compared word by word. Source: proc(5).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from twinstack.errors import CannotTell
from twinstack.linux.procfs import PROC, cmdline, read_mounts, read_status
from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import NGINX_CONF, REDIS_CONF
from twinstack.model.topology import WorldName
from twinstack.observe.fingerprint.limits import Values, limit_values, mounted_at

Rename = Callable[[str], str]

#: Processes that PostgreSQL starts and ends with its clients; they are no setting.
_TRANSIENT = re.compile(r"^postgres: .*(\(\d+\)|\[local\]|autovacuum worker|parallel worker)")
#: Names of values that are never read into a fingerprint.
SECRET = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL", re.IGNORECASE)
#: By which our supervisor knows what it started.
_MARK = "TWINSTACK_LAUNCH"
_IPV4 = re.compile(r"\b\d+(?:\.\d+){3}\b")
_WRITES = {os.O_APPEND: "append", os.O_SYNC: "sync", os.O_DSYNC: "dsync", os.O_NONBLOCK: "nonblock"}
_HEAD_BYTES = 1 << 16
_INSTRUCTION_BYTES = 8


def renaming(plan: Plan, world: WorldName) -> Rename:
    """Give what replaces a world's own addresses by the names of what has them; pure.

    The other world's stay: a service that asks the other world's store is no equal.
    """
    names = {str(segment.gateway_in(world)): "the-host" for segment in plan.segments}
    names |= {str(each.subnet_in(world)[0]): each.name for each in plan.segments}
    for replica in plan.replicas:
        attached = [attachment.address for attachment in replica.attachments]
        own = [replica.address] if world == "net" else attached
        names |= dict.fromkeys(map(str, own), replica.name)
    return lambda text: _IPV4.sub(lambda match: names.get(match[0], match[0]), text)


def process_values(
    replica: Replica, main: int, pids: frozenset[int], rename: Rename, filters: tuple[bytes, ...]
) -> Values:
    """Read a replica by its main process and those that descend from it among `pids`.

    Raises: CannotTell when it is gone or may not be looked at.
    """
    try:
        return dict(_values(replica, main, pids, rename, filters))
    except (OSError, ValueError) as error:
        raise CannotTell(
            replica.name, "cannot be looked at", str(error), "run as root, while it is up"
        ) from error


def _values(
    replica: Replica, main: int, pids: frozenset[int], rename: Rename, filters: tuple[bytes, ...]
) -> Iterator[tuple[str, str]]:
    here = PROC / str(main)
    if not (command := " ".join(cmdline(main))):
        raise ProcessLookupError("it has ended")
    titles = {pid: title for pid in {main, *pids} if (title := _parent_and_title(pid))}
    members = family(main, titles)
    yield "command", command
    yield "processes", str(len(members))
    yield "libraries", _libraries(members)
    declared = frozenset(dict(replica.environment_in("net")))
    entries = (here / "environ").read_text(errors="replace")
    own = {replica.name: "own-name", str(replica.user): "own-id"}
    yield from environment(entries, declared, rename, own).items()
    for file in (NGINX_CONF, REDIS_CONF, "/etc/nsswitch.conf"):
        yield file, _digest(here / "root" / file[1:])
    for key, file in (("hosts", "etc/hosts"), ("resolver", "etc/resolv.conf")):
        yield key, name_entries((here / "root" / file).read_text(), rename)
    # Not its digest: the engine writes the same rules in another order for each container.
    lengths = (f"{len(program) // _INSTRUCTION_BYTES} instructions" for program in filters)
    yield "seccomp.program", ", ".join(lengths) or "none"
    for key, value in limit_values(main, members).items():
        yield key, " ".join(own.get(word, word) for word in value.split(" "))
    mounts = read_mounts(main)
    for path in ("/", "/tmp", "/dev/shm", *([replica.launch.data] if replica.launch.data else [])):
        yield f"mount.{path}", mounted_at(mounts, path)
    yield "stdout", _output(here, 1)
    yield "stderr", _output(here, 2)


def family(main: int, processes: Mapping[int, tuple[int, str]]) -> list[int]:
    """List a process and its lasting descendants; `processes`: pid → parent and title; pure.

    A health probe is a child of the engine, so it is none.
    """
    members = {main}
    while more := {pid for pid, (parent, _) in processes.items() if parent in members} - members:
        members |= more
    return sorted(pid for pid in members if pid == main or not _TRANSIENT.match(processes[pid][1]))


def environment(
    entries: str, declared: frozenset[str], rename: Rename, own: Values
) -> dict[str, str]:
    """Read /proc/PID/environ; a value that topology.yml does not declare is a digest; pure.

    `own` replaces a replica's name, which is declared too.
    """
    values = {}
    for name, _, value in (entry.partition("=") for entry in entries.split("\0") if "=" in entry):
        shown = rename(value)
        if SECRET.search(name) or name == _MARK:
            shown = "set"
        elif name not in declared and shown in own:
            shown = own[shown]
        elif name not in declared:
            shown = f"#{hashlib.sha256(shown.encode()).hexdigest()[:8]}"
        values[f"env.{name}"] = shown
    return values


def name_entries(text: str, rename: Rename) -> str:
    """Read /etc/hosts or /etc/resolv.conf as a sorted list of its IPv4 entries; pure."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    entries = {"=".join(map(rename, words)) for words in lines if words and ":" not in words[0]}
    return " ".join(sorted(entries)) or "none"


def _libraries(pids: list[int]) -> str:
    """Name what is mapped as code, each file with a digest of its content."""
    mapped = {}
    for pid in pids:
        for line in (PROC / str(pid) / "maps").read_text(errors="replace").splitlines():
            words = line.split(maxsplit=5)
            if len(words) == 6 and "x" in words[1] and words[5].startswith("/"):
                file = PROC / str(pid) / "root" / words[5].lstrip("/")
                mapped[file.name] = _digest(file)
    return " ".join(f"{name}:{build}" for name, build in sorted(mapped.items()))


def _digest(file: Path) -> str:
    """Name a file's content; "none" for one that is absent, or empty: a mount point.

    A large one by its size and head, which has an ELF file's build id; `software` reads the trees
    of packages whole.
    """
    try:
        with file.open("rb") as opened:
            head, size = opened.read(_HEAD_BYTES), os.fstat(opened.fileno()).st_size
    except (FileNotFoundError, NotADirectoryError):
        return "none"
    return hashlib.sha256(head + str(size).encode()).hexdigest()[:12] if size else "none"


def _output(here: Path, number: int) -> str:
    """Name what a descriptor writes to, and how."""
    mode = (here / "fd" / str(number)).stat().st_mode
    kinds = {stat.S_IFREG: "file", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    fields = dict(re.findall(r"(\w+):\s*(\S+)", (here / "fdinfo" / str(number)).read_text()))
    flags = int(fields["flags"], 8)
    words = [word for flag, word in _WRITES.items() if flags & flag == flag]
    return " ".join([kinds.get(stat.S_IFMT(mode), "device"), *words])


def _parent_and_title(pid: int) -> tuple[int, str] | None:
    """Read a process; None when it has just ended."""
    try:
        return int(read_status(pid).get("PPid", "0")), " ".join(cmdline(pid))
    except (FileNotFoundError, ProcessLookupError):
        return None
