"""Look closely at one replica: what it may use, logged, answered, sent, and what is permitted.

Each part is read by itself. One that cannot be read says why, and hides no other. Nothing is
changed, nothing captured, and no namespace entered: a process's links are read in /proc, rules by
iptables-save on the world's host. What is read of a log is bounded, however long its lines are.

Source: cgroups(7), proc_pid_net(5).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from twinstack.errors import CannotTell, TwinstackError
from twinstack.linux.cgroup import ControlGroup, read_layout
from twinstack.linux.process import run
from twinstack.model.plan import Replica
from twinstack.model.topology import WorldName
from twinstack.observe.detail.lines import DetailLine, RequestLine, read_line, shortened
from twinstack.observe.detail.rules import ReplicaPolicy, policy_of
from twinstack.observe.live.probes import COUNTS_PATH, STATUS_PATH
from twinstack.observe.logs.choice import LineFilter, ReplicaLines
from twinstack.policy.permissions import addresses
from twinstack.world import LocalWorld, LogRecord, LogSearch, LogVerdict

PROC = Path("/proc")
#: Lines of a log that are looked at, and their bytes, but for the first one.
LOOKED_AT, _BYTES = 500, 500_000
LINES, REQUESTS = 60, 40
_RULES_S = 5.0
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Amounts:
    """An amount of each thing that is limited; None: no limit, or unknown."""

    cpus: float | None
    memory_bytes: int | None
    pids: int | None


@dataclass(frozen=True, slots=True)
class CgroupAmounts:
    """What holds in a replica's own cgroup."""

    limits: Amounts
    pids: int  # processes and threads now


@dataclass(frozen=True, slots=True)
class ReplicaLog:
    """The end of a replica's log, oldest first: requests, and all else."""

    lines: tuple[DetailLine, ...]
    requests: tuple[RequestLine, ...]
    looked_at: int  # lines, from the end
    checks: int  # requests of these that only asked for its health or its counts; left out


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """What the kernel counted on one interface, as the replica sees it, since it was made."""

    name: str
    received_bytes: int
    received_packets: int
    received_errors: int
    received_dropped: int
    sent_bytes: int
    sent_packets: int
    sent_errors: int
    sent_dropped: int


@dataclass(frozen=True, slots=True)
class ReplicaDetail:
    """One replica; a part that is None has its reason in `troubles`."""

    world: WorldName
    name: str
    service: str
    tier: str
    addresses: tuple[str, ...]
    port: int
    version: str
    at: float  # seconds since 1970
    declared: Amounts | None  # None: the world was brought up without limits
    cgroup: CgroupAmounts | None = None
    log: ReplicaLog | None = None
    links: tuple[LinkCounters, ...] | None = None
    policy: ReplicaPolicy | None = None
    troubles: dict[str, str] = field(default_factory=dict)


def read(world: LocalWorld, name: str, pid: int | None) -> ReplicaDetail:
    """Read what there is of a replica; `pid` is its main process. Raises: WrongUse for the name."""
    replica = world.plan.replica(name)
    limits = replica.limits
    troubles: dict[str, str] = {}

    def part(key: str, work: Callable[[], Part]) -> Part | None:
        try:
            return work()
        except (TwinstackError, OSError, ValueError) as error:
            troubles[key] = shortened(" ".join(str(error).split()), 300)
            return None

    return ReplicaDetail(
        world=world.name,
        name=name,
        service=replica.service,
        tier=replica.tier,
        addresses=tuple(str(address) for _, address in addresses(replica, world.name)),
        port=replica.port,
        version=replica.version,
        at=time.time(),
        declared=Amounts(limits.cpus, limits.memory_bytes, limits.pids) if limits else None,
        cgroup=part("cgroup", lambda: _cgroup(world, name)),
        log=part("log", lambda: _log(world, replica)),
        links=part("links", lambda: _links(name, pid)),
        policy=part("policy", lambda: _policy(world, replica)),
        troubles=troubles,
    )


def _cgroup(world: LocalWorld, name: str) -> CgroupAmounts:
    path = world.cgroup_paths().get(name, "").strip("/")
    if not path:  # the root cgroup is no replica's
        raise CannotTell(name, "has no cgroup of its own", "it does not run, or only just started")
    group = ControlGroup.at(path, read_layout())
    limits = group.limits()
    pids = int((group.directory("pids") / "pids.current").read_text())
    return CgroupAmounts(Amounts(limits.cpus, limits.memory_bytes, limits.pids), pids)


def _log(world: LocalWorld, replica: Replica) -> ReplicaLog:
    search = LogSearch(until_enough(_BYTES), last=LOOKED_AT)
    reader = world.log_reader(replica.name)
    lines: deque[DetailLine] = deque(maxlen=LINES)
    requests: deque[RequestLine] = deque(maxlen=REQUESTS)
    own_paths = {replica.health.http_path, STATUS_PATH, COUNTS_PATH}
    looked_at = checks = 0
    made = ReplicaLines(replica.name, replica.service, LineFilter())
    for line in map(read_line, made.lines(reader.read(search))):
        looked_at += 1
        if isinstance(line, DetailLine):
            lines.append(line)
        elif line.path in own_paths:
            checks += 1
        else:
            requests.append(line)
    return ReplicaLog(tuple(lines), tuple(requests), looked_at, checks)


def until_enough(most_bytes: int) -> Callable[[LogRecord], LogVerdict]:
    """Give a judge of lines, the last first, that has had enough after so many bytes."""
    left = most_bytes

    def judge(record: LogRecord) -> LogVerdict:
        nonlocal left
        verdict: LogVerdict = "shown" if left > 0 else "too old"
        left -= len(record.text)
        return verdict

    return judge


def _links(name: str, pid: int | None) -> tuple[LinkCounters, ...]:
    if pid is None:
        raise CannotTell(name, "has no links that could be read", "it has no process")
    process = PROC / str(pid)
    if (process / "ns/net").samefile(PROC / "self/ns/net"):
        raise CannotTell(name, "has no links that could be read", "it only just started")
    return link_counters((process / "net/dev").read_text())


def link_counters(text: str) -> tuple[LinkCounters, ...]:
    """Read net/dev: every interface but the loopback. Pure."""
    found = []
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        if name.strip() != "lo":
            counts = [int(word) for word in numbers.split()]
            found.append(LinkCounters(name.strip(), *counts[:4], *counts[8:12]))
    return tuple(found)


def _policy(world: LocalWorld, replica: Replica) -> ReplicaPolicy:
    host = world.host_namespace
    enter = ["nsenter", f"--net={host}"] if host else []
    command = [*enter, "iptables-save", "-c", "-t", "filter"]
    saved = run(command, timeout_s=_RULES_S).stdout
    return policy_of(world.plan, world.name, replica, saved)
