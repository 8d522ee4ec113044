"""How a service's processes must be confined, and where a world is weaker than that; pure.

`LEVEL` is declared here, once for all worlds. What differs by service (its user, port, limits,
secrets and data) is the plan's. `observe` reads the facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from twinstack.linux.cgroup import CgroupLimits
from twinstack.model.plan import Replica
from twinstack.model.topology import Limits, WorldName
from twinstack.printable import counted

#: Every set of capabilities that the kernel keeps for a process.
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
#: An engine's resolver listens here in each container's network, unreachable from outside.
ENGINE_RESOLVER = "127.0.0.11"
_MASKED = """
    /proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug
    /proc/scsi /proc/timer_list /proc/timer_stats /sys/firmware
"""
_READ_ONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger"


@dataclass(frozen=True, slots=True)
class Level:
    """The declared level; a world may be stricter."""

    seccomp: str = "filter"
    lowest_uid: int = 1000
    namespaces: frozenset[str] = frozenset({"ipc", "mnt", "net", "uts"})  # its own, not the host's
    writable: frozenset[str] = frozenset({"/dev/shm", "/tmp"})  # beside the service's own data
    masked: tuple[str, ...] = tuple(_MASKED.split())  # these must show nothing
    read_only: tuple[str, ...] = tuple(_READ_ONLY.split())


LEVEL = Level()


@dataclass(frozen=True, slots=True)
class ConfinedProcess:
    """One process as /proc shows it."""

    pid: int
    command: str
    uids: tuple[int, ...]  # real, effective, saved, file system
    gids: tuple[int, ...]  # likewise
    groups: tuple[int, ...]
    capabilities: Mapping[str, int]  # set → its bits
    no_new_privs: bool
    seccomp: str  # none, strict or filter
    root_read_only: bool
    writable: tuple[str, ...]  # mounts that its user can write to
    shown: tuple[str, ...]  # those of `Level.masked` that show something
    open: tuple[str, ...]  # those of `Level.read_only` that can be written to
    namespaces: frozenset[str]  # its own, not the host's
    limits: CgroupLimits
    sockets: tuple[str, ...] = ()  # foreign ones that its root shows
    leaked: tuple[str, ...] = ()  # variables, or "its command", with a secret's text in them
    start_ticks: int = 0  # by when it started, a process is recognised


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A socket that takes connections, or datagrams from any sender."""

    protocol: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol} {self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file below /run/secrets."""

    name: str
    uid: int
    mode: int


@dataclass(frozen=True, slots=True)
class ConfinedReplica:
    """A replica as observed."""

    name: str
    processes: tuple[ConfinedProcess, ...]
    listeners: tuple[ListeningSocket, ...]  # in the processes' network
    secrets: tuple[SecretFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Weakness:
    """Where a replica, or one process of it, is confined less than declared."""

    replica: str
    pid: int | None
    what: str
    declared: str
    observed: str

    @property
    def who(self) -> str:
        """The replica, or its process."""
        return self.replica if self.pid is None else f"{self.replica} (pid {self.pid})"


@dataclass(frozen=True, slots=True)
class ConfinedWorld:
    """What was read of a world's processes, and what is too weak."""

    world: WorldName
    replicas: tuple[ConfinedReplica, ...]
    weaknesses: tuple[Weakness, ...]


@dataclass(frozen=True, slots=True)
class Confinement:
    """What was read of every running world, beside the declared level."""

    level: Level
    worlds: tuple[ConfinedWorld, ...]


#: What is weaker, as declared, as observed.
Difference = tuple[str, str, str]


def sentences(weaknesses: Sequence[Weakness]) -> tuple[str, ...]:
    """Describe weaknesses; one that many share is described once."""
    groups: dict[str, list[str]] = {}
    for weak in weaknesses:
        sentence = f"{weak.what}: {weak.observed}; declared: {weak.declared}"
        groups.setdefault(sentence, []).append(weak.who)
    return tuple(f"{sentence}\n    {', '.join(who)}" for sentence, who in groups.items())


def weaknesses(
    replica: Replica, facts: ConfinedReplica, level: Level = LEVEL
) -> tuple[Weakness, ...]:
    """List everything by which a replica is weaker than declared."""
    found = [Weakness(facts.name, None, *difference) for difference in _shared(replica, facts)]
    for process in facts.processes:
        for difference in process_weaknesses(replica, process, level):
            found.append(Weakness(facts.name, process.pid, *difference))
    return tuple(found)


def process_weaknesses(
    replica: Replica, process: ConfinedProcess, level: Level = LEVEL
) -> tuple[Difference, ...]:
    """List what is weaker in one process."""
    return tuple(_of_process(replica, process, level))


def _of_process(replica: Replica, process: ConfinedProcess, level: Level) -> Iterator[Difference]:
    user = replica.user
    if set(process.uids) != {user} or user < level.lowest_uid:
        yield "user", str(user), _slashed(process.uids)
    if set(process.gids) != {user}:
        yield "group", str(user), _slashed(process.gids)
    if others := set(process.groups) - {user}:
        yield "supplementary groups", "none", _slashed(sorted(others))
    held = {name: value for name, value in process.capabilities.items() if value}
    if held or set(process.capabilities) != set(CAPABILITY_SETS):
        words = (f"{name} {value:x}" for name, value in held.items())
        yield "capabilities", "none in any set", ", ".join(words) or "not all sets are known"
    if not process.no_new_privs:
        yield "no_new_privs", "on", "off"
    if process.seccomp != level.seccomp:
        yield "seccomp", level.seccomp, process.seccomp
    if not process.root_read_only:
        yield "root file system", "read-only", "writable"
    allowed = allowed_writable(replica, level)
    if surplus := set(process.writable) - allowed:
        yield "writable mounts", _listed(allowed), _listed(surplus)
    if process.shown:
        yield "masked files", "nothing to be seen", _listed(process.shown)
    if process.open:
        yield "kernel's switches", "read-only", f"{_listed(process.open)} writable"
    if lacking := level.namespaces - process.namespaces:
        yield "namespaces of its own", _listed(level.namespaces), f"the host's {_listed(lacking)}"
    if process.sockets:
        yield "sockets of others", "none in sight", _listed(process.sockets)
    if process.leaked:
        yield "secrets", "in files alone", f"in {_listed(process.leaked)}"
    if replica.limits is not None:
        yield from _limits(replica.limits, process.limits)


def _limits(declared: Limits, held: CgroupLimits) -> Iterator[Difference]:
    for what, most, limit in (
        ("CPU limit in cores", declared.cpus, held.cpus),
        ("memory limit in bytes", declared.memory_bytes, held.memory_bytes),
        ("pids limit", declared.pids, held.pids),
    ):
        if limit is None or limit > most:
            yield what, _number(most), _number(limit)


def _shared(replica: Replica, facts: ConfinedReplica) -> Iterator[Difference]:
    """List the weaknesses of what a replica's processes share."""
    foreign = [socket for socket in facts.listeners if not _is_declared(replica, socket)]
    if foreign:
        yield "listening", f"tcp {replica.port} alone", ", ".join(map(str, foreign))
    if surplus := {secret.name for secret in facts.secrets} - set(replica.secrets):
        yield "secrets in sight", _listed(replica.secrets) or "none", _listed(surplus)
    for secret in facts.secrets:
        if secret.uid != replica.user or secret.mode & 0o077:
            observed = f"user {secret.uid}, {secret.mode:04o}"
            yield f"secret {secret.name}", f"{replica.user}'s alone", observed


def _is_declared(replica: Replica, socket: ListeningSocket) -> bool:
    own = (socket.protocol, socket.port) == ("tcp", replica.port)
    return own or socket.address == ENGINE_RESOLVER


def allowed_writable(replica: Replica, level: Level = LEVEL) -> frozenset[str]:
    """Give the mounts that a replica's user may write to."""
    return level.writable | ({replica.launch.data} if replica.launch.data else set())


HEADER = ("service", "world", "uid", "caps", "nnp", "filter", "root", "CPU/MiB/pids", "port")


def rows(worlds: Mapping[WorldName, Sequence[ConfinedReplica]]) -> list[tuple[str, ...]]:
    """Put the worlds side by side: a row for each replica and world, and for each difference."""
    names = dict.fromkeys(replica.name for replicas in worlds.values() for replica in replicas)
    return [
        (name, world, *cells)
        for name in names
        for world, replicas in worlds.items()
        for replica in replicas
        if replica.name == name
        for cells in _distinct(replica)
    ]


def _distinct(replica: ConfinedReplica) -> list[tuple[str, ...]]:
    ports = {socket.port for socket in replica.listeners if socket.address != ENGINE_RESOLVER}
    cells = (
        (
            _slashed(process.uids),
            "some" if any(process.capabilities.values()) else "none",
            "yes" if process.no_new_privs else "no",
            "yes" if process.seccomp == LEVEL.seccomp else "no",
            "ro" if process.root_read_only else "rw",
            _limits_cell(process.limits),
            " ".join(map(str, sorted(ports))) or "none",
        )
        for process in replica.processes
    )
    return list(dict.fromkeys(cells))


def _limits_cell(limits: CgroupLimits) -> str:
    memory_mib = None if limits.memory_bytes is None else limits.memory_bytes / 2**20
    return "/".join(map(_number, (limits.cpus, memory_mib, limits.pids)))


def shared(replicas: Sequence[ConfinedReplica]) -> dict[str, str]:
    """Sum up for a world's processes what has no column: what any of them has."""
    processes = [process for replica in replicas for process in replica.processes]

    def any_of(field: str) -> str:
        return _listed({word for process in processes for word in getattr(process, field)})

    own = frozenset.intersection(*(p.namespaces for p in processes)) if processes else ()
    files = sum(len(replica.secrets) for replica in replicas)
    leaked = any_of("leaked") or "none"
    return {
        "processes": str(len(processes)),
        "own namespaces": _listed(own),
        "writable to its user": any_of("writable") or "nothing",
        "shown of /proc, /sys": any_of("shown") or "nothing of what is masked",
        "others' sockets": any_of("sockets") or "none",
        "secrets": f"{counted(files, 'file')}; in environments or commands: {leaked}",
    }


def _slashed(numbers: Iterable[int]) -> str:
    return "/".join(map(str, dict.fromkeys(numbers)))


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


def _number(value: float | None) -> str:
    return f"{value:.10g}" if isinstance(value, float) else "none" if value is None else str(value)
