"""What a service's processes must be held to, and where a world is weaker than that; pure.

`LEVEL` is declared here, once for both worlds; what differs by service (its user, port, limits,
secrets and data) is the plan's. `confinement_facts` reads what there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from twinstack.linux.cgroup import CgroupLimits
from twinstack.model.plan import Limits, Replica

#: Every set of capabilities that the kernel keeps of a process.
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
#: An engine's resolver listens here in each container's network, which nobody outside reaches.
ENGINE_RESOLVER = "127.0.0.11"


@dataclass(frozen=True, slots=True)
class Level:
    """The declared level; a world may be stricter.

    `namespaces` a process has to itself. `writable` are the places that its user may write to,
    the service's own data beside them. `masked` may show nothing, `read_only` takes no writing.
    """

    seccomp: str = "filter"
    lowest_uid: int = 1000
    namespaces: frozenset[str] = frozenset({"ipc", "mnt", "net", "uts"})
    writable: frozenset[str] = frozenset({"/dev/shm", "/tmp"})
    masked: tuple[str, ...] = (
        "/proc/acpi",
        "/proc/asound",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/firmware",
    )
    read_only: tuple[str, ...] = (
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
    )


LEVEL = Level()


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One process as /proc shows it.

    `uids` and `gids`: real, effective, saved, file system. `capabilities` by set. `writable`:
    mounts that its user can write to; `shown`: what of `Level.masked` is to be seen, `open`: what
    of `Level.read_only` takes writing. `sockets`: those of others that its root shows. `leaked`:
    variables, or "its command", that hold a secret's text.
    """

    pid: int
    command: str
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    groups: tuple[int, ...]
    capabilities: Mapping[str, int]
    no_new_privs: bool
    seccomp: str
    root_read_only: bool
    writable: tuple[str, ...]
    shown: tuple[str, ...]
    open: tuple[str, ...]
    namespaces: frozenset[str]
    limits: CgroupLimits
    sockets: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that takes connections, or datagrams from anybody."""

    protocol: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol} {self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """A file below /run/secrets: whose it is, and its permissions."""

    name: str
    uid: int
    mode: int


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """A replica as observed: its processes, what listens in their network, its secrets."""

    name: str
    processes: tuple[ProcessFacts, ...]
    listeners: tuple[Listener, ...]
    secrets: tuple[SecretFacts, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Weakness:
    """Where a replica, or one process of it, is held to less than is declared."""

    replica: str
    pid: int | None
    what: str
    declared: str
    observed: str

    @property
    def who(self) -> str:
        """Name the replica, or its process."""
        return self.replica if self.pid is None else f"{self.replica} (pid {self.pid})"


def sentences(found: Sequence[Weakness]) -> tuple[str, ...]:
    """Say weaknesses, those that many share once."""
    groups: dict[str, list[str]] = {}
    for one in found:
        said = f"{one.what}: {one.observed}; declared: {one.declared}"
        groups.setdefault(said, []).append(one.who)
    return tuple(f"{said}\n    {', '.join(who)}" for said, who in groups.items())


def weaknesses(replica: Replica, found: ReplicaFacts, level: Level = LEVEL) -> tuple[Weakness, ...]:
    """Name everything by which a replica is weaker than declared."""
    mine = [Weakness(found.name, None, *one) for one in _of_replica(replica, found)]
    for process in found.processes:
        mine += [
            Weakness(found.name, process.pid, *one)
            for one in process_weaknesses(replica, process, level)
        ]
    return tuple(mine)


def process_weaknesses(
    replica: Replica, process: ProcessFacts, level: Level = LEVEL
) -> tuple[tuple[str, str, str], ...]:
    """Name what is weaker in one process: what, declared, observed."""
    return tuple(_of_process(replica, process, level))


def _of_process(
    replica: Replica, one: ProcessFacts, level: Level
) -> Iterator[tuple[str, str, str]]:
    user = replica.user
    if set(one.uids) != {user} or user < level.lowest_uid:
        yield "user", str(user), _several(one.uids)
    if set(one.gids) != {user}:
        yield "group", str(user), _several(one.gids)
    if others := set(one.groups) - {user}:
        yield "supplementary groups", "none", _several(sorted(others))
    kept = {name: value for name, value in one.capabilities.items() if value}
    if kept or set(one.capabilities) != set(CAPABILITY_SETS):
        words = (f"{name} {value:x}" for name, value in kept.items())
        yield "capabilities", "none in any set", ", ".join(words) or "not all sets are known"
    if not one.no_new_privs:
        yield "no_new_privs", "on", "off"
    if one.seccomp != level.seccomp:
        yield "seccomp", level.seccomp, one.seccomp
    if not one.root_read_only:
        yield "root file system", "read-only", "writable"
    if more := set(one.writable) - allowed_writable(replica, level):
        yield "writable mounts", _listed(allowed_writable(replica, level)), _listed(more)
    if one.shown:
        yield "masked files", "nothing to be seen", _listed(one.shown)
    if one.open:
        yield "kernel's switches", "read-only", f"{_listed(one.open)} writable"
    if lost := level.namespaces - one.namespaces:
        yield "namespaces of its own", _listed(level.namespaces), f"the host's {_listed(lost)}"
    if one.sockets:
        yield "sockets of others", "none in sight", _listed(one.sockets)
    if one.leaked:
        yield "secrets", "in files alone", f"in {_listed(one.leaked)}"
    yield from _limits(replica.limits, one.limits)


def _of_replica(replica: Replica, found: ReplicaFacts) -> Iterator[tuple[str, str, str]]:
    strangers = [one for one in found.listeners if not _declared(replica, one)]
    if strangers:
        yield "listening", f"tcp {replica.port} alone", ", ".join(map(str, strangers))
    names = {one.name for one in found.secrets}
    if surplus := names - set(replica.secrets):
        yield "secrets in sight", _listed(replica.secrets) or "none", _listed(surplus)
    for one in found.secrets:
        if one.uid != replica.user or one.mode & 0o077:
            yield (
                f"secret {one.name}",
                f"{replica.user}'s alone",
                f"user {one.uid}, {one.mode:04o}",
            )


def _limits(declared: Limits | None, found: CgroupLimits) -> Iterator[tuple[str, str, str]]:
    if declared is None:
        return
    for what, most, there in (
        ("CPU limit in cores", declared.cpus, found.cpus),
        ("memory limit in bytes", declared.memory_bytes, found.memory_bytes),
        ("pids limit", declared.pids, found.pids),
    ):
        if there is None or there > most:
            yield what, f"{most:g}" if what.startswith("CPU") else str(most), _number(there)


def _declared(replica: Replica, one: Listener) -> bool:
    own = (one.protocol, one.port) == ("tcp", replica.port)
    return own or one.address == ENGINE_RESOLVER


def allowed_writable(replica: Replica, level: Level = LEVEL) -> frozenset[str]:
    """Give the mounts that a replica's user may write to."""
    return level.writable | ({replica.launch.data} if replica.launch.data else set())


HEADER = ("service", "world", "uid", "caps", "nnp", "filter", "root", "CPU/MiB/pids", "port")


def rows(found: Mapping[str, Sequence[ReplicaFacts]]) -> list[tuple[str, ...]]:
    """Set the worlds side by side: a row a replica and world, another where processes differ."""
    table: list[tuple[str, ...]] = []
    names = dict.fromkeys(one.name for replicas in found.values() for one in replicas)
    for name in names:
        for world, replicas in found.items():
            for one in replicas:
                if one.name == name:
                    table += [(name, world, *cells) for cells in _distinct(one)]
    return table


def _distinct(replica: ReplicaFacts) -> list[tuple[str, ...]]:
    ports = sorted({one.port for one in replica.listeners if one.address != ENGINE_RESOLVER})
    return list(
        dict.fromkeys(
            (
                _several(one.uids),
                "some" if any(one.capabilities.values()) else "none",
                "yes" if one.no_new_privs else "no",
                "yes" if one.seccomp == LEVEL.seccomp else "no",
                "ro" if one.root_read_only else "rw",
                _held(one.limits),
                " ".join(map(str, ports)) or "none",
            )
            for one in replica.processes
        )
    )


def _held(limits: CgroupLimits) -> str:
    memory_mib = None if limits.memory_bytes is None else limits.memory_bytes / 2**20
    return "/".join(_number(one) for one in (limits.cpus, memory_mib, limits.pids))


def shared(replicas: Sequence[ReplicaFacts]) -> dict[str, str]:
    """Say of a world's processes together what has no column: what any of them has."""
    processes = [process for one in replicas for process in one.processes]
    secrets = sum(len(one.secrets) for one in replicas)
    return {
        "processes": str(len(processes)),
        "own namespaces": _listed(
            frozenset.intersection(*(one.namespaces for one in processes)) if processes else ()
        ),
        "writable to its user": _listed({place for one in processes for place in one.writable})
        or "nothing",
        "shown of /proc, /sys": _listed({place for one in processes for place in one.shown})
        or "nothing of what is masked",
        "others' sockets": _listed({place for one in processes for place in one.sockets}) or "none",
        "secrets": f"{secrets} files; in environments or commands: "
        + (_listed({word for one in processes for word in one.leaked}) or "none"),
    }


def _several(numbers: Iterable[int]) -> str:
    return "/".join(str(one) for one in dict.fromkeys(numbers))


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"
