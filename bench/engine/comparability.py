"""Are the two worlds alike? What is not is said before anything is measured.

`observe` looks at a running world, `compare` (pure) names the differences. Some make a ratio a
lie (other limits, other software, other data): the comparison is refused, unless forced. Others
are the very thing that is being measured, or cannot be taken away: they are stated with every
result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from bench.engine import probe
from bench.engine.executed import CONFIGS, Executed, executed
from bench.engine.observed import Confinement, confinement
from twinstack.errors import CannotTell, Missing, TwinstackError
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

Weight = Literal["misleads", "stated"]
T = TypeVar("T")
#: Bodies whose sizes differ by more than this part are different data, not a changed stock.
SIZE_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not alike. `weight` tells whether a ratio would mislead."""

    what: str
    first: str
    second: str
    weight: Weight

    def sentence(self, first: str, second: str) -> str:
        """Say it, with the worlds' names."""
        return f"{self.what}: {first} {self.first}, {second} {self.second}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a world is like as observed; `confinement` and `executed` by replica."""

    world: str
    plan: Plan
    entry: str
    states: dict[str, str]
    confinement: dict[str, Confinement]
    executed: dict[str, Executed]
    software: dict[str, str]
    body_digest: str
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Likeness:
    """What is not alike between two worlds."""

    first: str
    second: str
    differences: tuple[Difference, ...]

    @property
    def misleading(self) -> tuple[Difference, ...]:
        """Give the differences that would make a ratio a lie."""
        return tuple(one for one in self.differences if one.weight == "misleads")

    def sentences(self, weight: Weight) -> tuple[str, ...]:
        """Say all differences of a weight."""
        return tuple(
            one.sentence(self.first, self.second)
            for one in self.differences
            if one.weight == weight
        )


def look(
    net: LocalWorld, docker: LocalWorld, service: str, path: str, *, force: bool, progress: Progress
) -> Likeness:
    """Look at two worlds by a service's own address, say what misleads, and insist on likeness.

    Raises: Missing when one is not up; TwinstackError when they are not alike (unless `force`).
    """
    progress("looking whether both worlds are alike")
    first, second = (
        observe(world, world.endpoint(service), path, entry=f"{service}'s own address")
        for world in (net, docker)
    )
    alike = compare(first, second)
    for one in alike.sentences("misleads"):
        progress(f"not alike: {one}")
    if not force:
        insist(alike)
    return alike


def observe(world: LocalWorld, endpoint: Endpoint, path: str, *, entry: str) -> Facts:
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
    return Facts(
        world=world.name,
        plan=world.plan,
        entry=entry,
        states={state.name: state.state for state in states},
        confinement={
            state.name: confinement(_pid(state.name, state.pid), data.get(state.name))
            for state in states
        },
        executed={
            state.name: executed(_pid(state.name, state.pid), pids.get(state.name, ()))
            for state in states
        },
        software=world.software(),
        body_digest=answer.digest,
        body_bytes=len(answer.body),
    )


def compare(first: Facts, second: Facts) -> Likeness:
    """Name every difference between two worlds."""
    found = [*_declared(first, second), *_held(first, second), *_executed(first, second)]
    found += _served(first, second)
    if first.world != second.world:
        found += _in_kind(first, second)
    return Likeness(first.world, second.world, tuple(found))


def insist(likeness: Likeness) -> None:
    """Refuse a comparison that would mislead. Raises: TwinstackError that says why."""
    if likeness.misleading:
        raise TwinstackError(
            f"{likeness.first} and {likeness.second}",
            "are not alike",
            " | ".join(likeness.sentences("misleads")),
            "bring both up from the same topology and shape, or measure all the same with --force",
        )


def _pid(name: str, pid: int | None) -> int:
    if pid is None:
        raise CannotTell(name, "has no process", "its world names none", "bring it up again")
    return pid


def _differ(what: str, first: object, second: object, weight: Weight) -> list[Difference]:
    if first == second:
        return []
    return [Difference(what, str(first), str(second), weight)]


def _declared(first: Facts, second: Facts) -> list[Difference]:
    """Compare shape and entry, and which replicas are there."""
    found = _differ("shape", first.plan.shape, second.plan.shape, "misleads")
    found += _differ("entry", first.entry, second.entry, "misleads")
    found += _differ("replicas", _names(first), _names(second), "misleads")
    return found


def _executed(first: Facts, second: Facts) -> list[Difference]:
    """Compare what runs: commands, numbers of processes, configuration files."""
    aspects: list[tuple[str, Callable[[Executed], object]]] = [
        ("processes", lambda one: one.processes),
        *((file, lambda one, file=file: one.configs.get(file, "none")) for file in CONFIGS),
    ]
    found = []
    for name, one in first.executed.items():
        other = second.executed.get(name)
        if other is not None and other.command != one.command:
            words = _only_words(one.command, other.command)
            found += _differ(f"command of {name}", *words, "misleads")
    for what, aspect in aspects:
        found += _grouped(what, aspect, first.executed, second.executed, "misleads")
    return found


def _only_words(first: str, second: str) -> tuple[str, str]:
    """Give the words that only one of two commands has; both whole where all are the same."""
    ones, others = first.split(), second.split()
    only = (
        [word for word in ones if word not in others],
        [word for word in others if word not in ones],
    )
    if not any(only):
        return first, second
    return " ".join(only[0]) or "nothing more", " ".join(only[1]) or "nothing more"


def _names(facts: Facts) -> str:
    return ", ".join(sorted(facts.states))


def _served(first: Facts, second: Facts) -> list[Difference]:
    """Compare software and data."""
    found = []
    for key in sorted({*first.software, *second.software}):
        versions = (first.software.get(key, "absent"), second.software.get(key, "absent"))
        found += _differ(f"software {key}", *versions, "misleads")
    sizes = (first.body_bytes, second.body_bytes)
    if abs(sizes[0] - sizes[1]) > SIZE_TOLERANCE * max(sizes):
        found += _differ("answer's size", f"{sizes[0]} bytes", f"{sizes[1]} bytes", "misleads")
    else:
        found += _differ("answer's content", first.body_digest, second.body_digest, "stated")
    return found


def _held(first: Facts, second: Facts) -> list[Difference]:
    """Compare what the kernel holds the processes to."""
    aspects: list[tuple[str, Callable[[Confinement], object], Weight]] = [
        ("CPU limit", lambda one: _limit(one.cpus, "cores"), "misleads"),
        ("CPU period", lambda one: _limit(one.period_us, "µs"), "misleads"),
        ("memory limit", lambda one: _limit(one.memory_bytes, "bytes"), "misleads"),
        ("swap limit", lambda one: _limit(one.swap_bytes, "bytes"), "misleads"),
        ("pids limit", lambda one: _limit(one.pids, "pids"), "misleads"),
        ("open files limit", lambda one: one.open_files, "stated"),
        ("seccomp", lambda one: one.seccomp, "stated"),
        ("no_new_privs", lambda one: one.no_new_privs, "stated"),
        ("capabilities", lambda one: one.capabilities, "stated"),
        ("speculative store bypass", lambda one: one.speculation, "stated"),
        ("log output", lambda one: one.stdout, "stated"),
        ("root file system", lambda one: one.root, "stated"),
        ("data's file system", lambda one: one.data or "none", "stated"),
    ]
    found = []
    for what, aspect, weight in aspects:
        found += _grouped(what, aspect, first.confinement, second.confinement, weight)
    return found


def _grouped(
    what: str,
    aspect: Callable[[T], object],
    first: Mapping[str, T],
    second: Mapping[str, T],
    weight: Weight,
) -> list[Difference]:
    """Compare one aspect of each replica; alike in many replicas is said once."""
    common = [name for name in first if name in second]
    groups: dict[tuple[str, str], list[str]] = {}
    for name in common:
        pair = (str(aspect(first[name])), str(aspect(second[name])))
        if pair[0] != pair[1]:
            groups.setdefault(pair, []).append(name)
    return [
        Difference(f"{what} of {_some(names, common)}", one, other, weight)
        for (one, other), names in groups.items()
    ]


def _limit(value: float | None, unit: str) -> str:
    return (
        "none" if value is None else f"{value:g} {unit}" if unit == "cores" else f"{value} {unit}"
    )


def _some(names: Sequence[str], everyone: Sequence[str]) -> str:
    return "every replica" if len(names) == len(everyone) > 1 else ", ".join(names)


def _in_kind(first: Facts, second: Facts) -> list[Difference]:
    """State what differs because one is Docker; these are part of what is measured."""
    texts = {
        "net": {
            "path": "veth, our bridge and the host's routing",
            "health": "no probe runs unless status is asked",
            "homes": "one address a replica; the host routes between tiers",
            "names": "/etc/hosts",
            "kinds": "network, mount, IPC and UTS",
        },
        "docker": {
            "path": "veth, Docker's bridge and its rules",
            "health": f"the engine runs a probe in each container every {_interval(second)}",
            "homes": "a container joins each network it must reach",
            "names": "/etc/hosts, Docker's own resolver behind it",
            "kinds": "network, mount, PID, IPC and UTS",
        },
    }
    titles = {
        "path": "network path",
        "health": "health",
        "homes": "tiers",
        "names": "names",
        "kinds": "namespaces",
    }
    skipped = {"homes"} if len(first.plan.segments) == 1 else set()
    return [
        Difference(title, texts[first.world][key], texts[second.world][key], "stated")
        for key, title in titles.items()
        if key not in skipped
    ]


def _interval(facts: Facts) -> str:
    return f"{min(replica.health.interval_s for replica in facts.plan.replicas):g} s"
