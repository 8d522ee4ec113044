"""Are two worlds comparable? Their differences are named before anything is measured.

`observe` looks at a running world, `compare` (pure) names the differences. Some would make a ratio
misleading (other limits, other software, other data): the comparison is refused, unless forced.
Others are the very thing that is measured, or cannot be taken away: every result states them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

from bench.engine import probe
from bench.engine.executed import CONFIGS, Executed, executed
from bench.engine.observed import Confinement, confinement
from bench.engine.show import wrap
from twinstack.errors import CannotTell, Missing, TwinstackError
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

Weight = Literal["misleads", "stated"]
T = TypeVar("T")
#: Bodies that differ in size by more than this part are different data, not a changed stock.
SIZE_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference between two worlds."""

    what: str
    first: str
    second: str
    weight: Weight  # misleads: a ratio would be no answer to the question


@dataclass(frozen=True, slots=True)
class WorldSetup:
    """What a world is like as observed."""

    world: str
    plan: Plan
    entry: str
    states: dict[str, str]  # by replica, as are confinement and executed
    confinement: dict[str, Confinement]
    executed: dict[str, Executed]
    software: dict[str, str]
    body_digest: str
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Comparability:
    """The differences between two worlds."""

    first: str
    second: str
    differences: tuple[Mismatch, ...]

    def sentences(self, weight: Weight) -> tuple[str, ...]:
        """Write all differences of a weight."""
        return tuple(
            f"{mismatch.what}: {self.first} {mismatch.first}, {self.second} {mismatch.second}"
            for mismatch in self.differences
            if mismatch.weight == weight
        )

    def listed(self) -> tuple[str, str]:
        """List what misleads, and what is stated; each empty when there is nothing."""
        misleading, stated = self.sentences("misleads"), self.sentences("stated")
        return _listed("Forced, although NOT ALIKE:", misleading), _listed("Alike but for:", stated)


def _listed(title: str, sentences: Sequence[str]) -> str:
    items = wrap(*(f"- {sentence}" for sentence in sentences), indent="  ")
    return f"{title}\n{items}" if sentences else ""


def require(
    net: LocalWorld, docker: LocalWorld, service: str, path: str, *, force: bool, progress: Progress
) -> Comparability:
    """Look at two worlds, entered by a service's own address, and refuse what would mislead.

    Raises: Missing when one is not up; TwinstackError when they are not alike (unless `force`).
    """
    progress("checking that both worlds are alike")
    first, second = (
        observe(world, world.endpoint(service), path, entry=f"{service}'s own address")
        for world in (net, docker)
    )
    alike = compare(first, second)
    for sentence in alike.sentences("misleads"):
        progress(f"not alike: {sentence}")
    if not force:
        refuse_misleading(alike)
    return alike


def refuse_misleading(alike: Comparability) -> None:
    """Refuse a comparison that would mislead. Raises: TwinstackError that says why."""
    misleading = alike.sentences("misleads")
    if misleading:
        raise TwinstackError(
            f"{alike.first} and {alike.second}",
            "are not alike",
            " | ".join(misleading),
            "bring both up from the same topology and shape, or measure all the same with --force",
        )


def observe(world: LocalWorld, endpoint: Endpoint, path: str, *, entry: str) -> WorldSetup:
    """Look at a running world. Raises: Missing when it is not up; CannotTell."""
    states = world.status()
    down = [state.name for state in states if state.state != "healthy"]
    if down or not states:
        raise Missing(
            f"the {world.name} world",
            "is not up",
            f"not healthy: {', '.join(down) or 'all'}",
            f'run "invoke {world.name}.up"',
        )
    answer = probe.get_ok(endpoint, path)
    data = {replica.name: replica.launch.data for replica in world.plan.replicas}
    pids: dict[str, list[int]] = {}
    for process in world.processes():
        pids.setdefault(process.replica, []).append(process.pid)
    main = {state.name: _pid(state.name, state.pid) for state in states}
    return WorldSetup(
        world=world.name,
        plan=world.plan,
        entry=entry,
        states={state.name: state.state for state in states},
        confinement={name: confinement(pid, data.get(name)) for name, pid in main.items()},
        executed={name: executed(pid, pids.get(name, ())) for name, pid in main.items()},
        software=world.software(),
        body_digest=answer.digest,
        body_bytes=len(answer.body),
    )


def _pid(name: str, pid: int | None) -> int:
    if pid is None:
        raise CannotTell(name, "has no process", "its world names none", "bring it up again")
    return pid


def compare(first: WorldSetup, second: WorldSetup) -> Comparability:
    """Name every difference between two worlds; pure."""
    return Comparability(first.world, second.world, tuple(_mismatches(first, second)))


def _mismatches(first: WorldSetup, second: WorldSetup) -> Iterator[Mismatch]:
    yield from _differ("shape", first.plan.shape, second.plan.shape)
    yield from _differ("entry", first.entry, second.entry)
    replicas = [", ".join(sorted(setup.states)) for setup in (first, second)]
    yield from _differ("replicas", replicas[0], replicas[1])
    for what, aspect, weight in _CONFINED:
        yield from _grouped(what, aspect, first.confinement, second.confinement, weight)
    yield from _commands(first.executed, second.executed)
    for what, runs in _EXECUTED:
        yield from _grouped(what, runs, first.executed, second.executed, "misleads")
    for key in sorted({*first.software, *second.software}):
        versions = (first.software.get(key, "absent"), second.software.get(key, "absent"))
        yield from _differ(f"software {key}", *versions)
    sizes = (first.body_bytes, second.body_bytes)
    if abs(sizes[0] - sizes[1]) > SIZE_TOLERANCE * max(sizes):
        yield from _differ("answer's size", f"{sizes[0]} bytes", f"{sizes[1]} bytes")
    else:
        yield from _differ("answer's content", first.body_digest, second.body_digest, "stated")
    if first.world != second.world:
        yield from _in_kind(first, second)


def _differ(what: str, first: str, second: str, weight: Weight = "misleads") -> Iterator[Mismatch]:
    if first != second:
        yield Mismatch(what, first, second, weight)


def _commands(
    firsts: Mapping[str, Executed], seconds: Mapping[str, Executed]
) -> Iterator[Mismatch]:
    for name in (name for name in firsts if name in seconds):
        first, second = firsts[name].command, seconds[name].command
        if first != second:
            yield Mismatch(f"command of {name}", *_only_words(first, second), "misleads")


def _only_words(first: str, second: str) -> tuple[str, str]:
    """Give the words that only one of two commands has; both commands where the words are equal."""
    firsts, seconds = first.split(), second.split()
    only = (
        " ".join(word for word in firsts if word not in seconds),
        " ".join(word for word in seconds if word not in firsts),
    )
    return (only[0] or "nothing more", only[1] or "nothing more") if any(only) else (first, second)


def _limit(value: float | None, unit: str) -> str:
    return (
        "none" if value is None else f"{value:g} {unit}" if unit == "cores" else f"{value} {unit}"
    )


def _config(executed: Executed, file: str) -> str:
    return executed.configs.get(file, "none")


#: What the kernel confines the processes to.
_CONFINED: tuple[tuple[str, Callable[[Confinement], object], Weight], ...] = (
    ("CPU limit", lambda held: _limit(held.cpus, "cores"), "misleads"),
    ("CPU period", lambda held: _limit(held.period_us, "µs"), "misleads"),
    ("memory limit", lambda held: _limit(held.memory_bytes, "bytes"), "misleads"),
    ("swap limit", lambda held: _limit(held.swap_bytes, "bytes"), "misleads"),
    ("pids limit", lambda held: _limit(held.pids, "pids"), "misleads"),
    ("open files limit", lambda held: held.open_files, "stated"),
    ("seccomp", lambda held: held.seccomp, "stated"),
    ("no_new_privs", lambda held: held.no_new_privs, "stated"),
    ("capabilities", lambda held: held.capabilities, "stated"),
    ("speculative store bypass", lambda held: held.speculation, "stated"),
    ("log output", lambda held: held.stdout, "stated"),
    ("root file system", lambda held: held.root, "stated"),
    ("data's file system", lambda held: held.data or "none", "stated"),
)
#: What runs, beside the commands.
_EXECUTED: tuple[tuple[str, Callable[[Executed], object]], ...] = (
    ("processes", lambda runs: runs.processes),
    *((file, partial(_config, file=file)) for file in CONFIGS),
)


def _grouped(
    what: str,
    aspect: Callable[[T], object],
    first: Mapping[str, T],
    second: Mapping[str, T],
    weight: Weight,
) -> Iterator[Mismatch]:
    """Compare one aspect of each replica; what is the same in many replicas is said once."""
    common = [name for name in first if name in second]
    groups: dict[tuple[str, str], list[str]] = {}
    for name in common:
        pair = (str(aspect(first[name])), str(aspect(second[name])))
        if pair[0] != pair[1]:
            groups.setdefault(pair, []).append(name)
    for (left, right), names in groups.items():
        everywhere = len(names) == len(common) > 1
        replicas = "every replica" if everywhere else ", ".join(names)
        yield Mismatch(f"{what} of {replicas}", left, right, weight)


def _in_kind(first: WorldSetup, second: WorldSetup) -> Iterator[Mismatch]:
    """State what differs because one is Docker; it is part of what is measured."""
    interval_s = min(replica.health.interval_s for replica in second.plan.replicas)
    texts = {
        "network path": {
            "net": "veth, our bridge and the host's routing",
            "docker": "veth, Docker's bridge and its rules",
        },
        "health": {
            "net": "no probe runs unless status is asked",
            "docker": f"the engine runs a probe in each container every {interval_s:g} s",
        },
        "tiers": {
            "net": "one address a replica; the host routes between tiers",
            "docker": "a container joins each network it must reach",
        },
        "names": {"net": "/etc/hosts", "docker": "/etc/hosts, Docker's own resolver behind it"},
        "namespaces": {
            "net": "network, mount, IPC and UTS",
            "docker": "network, mount, PID, IPC and UTS",
        },
    }
    if len(first.plan.segments) == 1:
        del texts["tiers"]
    for title, text in texts.items():
        yield Mismatch(title, text[first.world], text[second.world], "stated")
