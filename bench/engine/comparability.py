"""Are two worlds comparable? Their differences are named before anything is measured.

`observe` looks at a running world, `compare` (pure) names the differences. Some would make a ratio
misleading (other limits, other software, other data): the comparison is refused, unless forced.
Others are the very thing that is measured, or cannot be taken away: every result states them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.engine import probe
from bench.engine.fingerprint import Fingerprint, fingerprint
from bench.engine.show import wrap
from twinstack.errors import CannotTell, Missing, TwinstackError
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

Weight = Literal["misleads", "stated"]
#: Bodies that differ in size by more than this part are different data, not a changed stock.
SIZE_TOLERANCE = 0.01
#: What may differ in a fingerprint without making a ratio misleading.
STATED = frozenset(
    {
        "open files limit",
        "seccomp",
        "no_new_privs",
        "capabilities",
        "speculative store bypass",
        "log output",
        "root file system",
        "data's file system",
    }
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference between two worlds."""

    what: str
    first: str
    second: str
    weight: Weight = "misleads"


@dataclass(frozen=True, slots=True)
class WorldSetup:
    """What a world is like as observed."""

    world: str
    plan: Plan
    entry: str
    replicas: dict[str, Fingerprint]
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
    worlds: Sequence[LocalWorld], service: str, path: str, *, force: bool, progress: Progress
) -> Comparability:
    """Look at two worlds, entered by a service's own address, and refuse what would mislead.

    Raises: Missing when one is not up; TwinstackError when they are not alike (unless `force`).
    """
    progress("checking that both worlds are alike")
    entry = f"{service}'s own address"
    first, second = (observe(world, world.endpoint(service), path, entry) for world in worlds)
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


def observe(world: LocalWorld, endpoint: Endpoint, path: str, entry: str) -> WorldSetup:
    """Look at a running world. Raises: Missing when it is not up; CannotTell."""
    states = world.status()
    down = [state.name for state in states if state.state != "healthy"]
    if down or not states:
        cause = f"not healthy: {', '.join(down) or 'all'}"
        remedy = f'run "invoke {world.name}.up"'
        raise Missing(f"the {world.name} world", "is not up", cause, remedy)
    answer = probe.get_ok(endpoint, path)
    data = {replica.name: replica.launch.data for replica in world.plan.replicas}
    pids: dict[str, list[int]] = {}
    for process in world.processes():
        pids.setdefault(process.replica, []).append(process.pid)
    replicas = {}
    for state in states:
        if state.pid is None:
            raise CannotTell(state.name, "has no process", "its world names none")
        own = pids.get(state.name, ())
        replicas[state.name] = fingerprint(state.pid, own, data.get(state.name))
    software, size = world.software(), len(answer.body)
    return WorldSetup(world.name, world.plan, entry, replicas, software, answer.digest, size)


def compare(first: WorldSetup, second: WorldSetup) -> Comparability:
    """Name every difference between two worlds; pure."""
    return Comparability(first.world, second.world, tuple(_mismatches(first, second)))


def _mismatches(first: WorldSetup, second: WorldSetup) -> Iterator[Mismatch]:
    yield from _differ("shape", first.plan.shape, second.plan.shape)
    yield from _differ("entry", first.entry, second.entry)
    replicas = [", ".join(sorted(setup.replicas)) for setup in (first, second)]
    yield from _differ("replicas", replicas[0], replicas[1])
    for what in dict.fromkeys(key for values in first.replicas.values() for key in values):
        yield from _replicas_differ(what, first, second)
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


def _replicas_differ(what: str, first: WorldSetup, second: WorldSetup) -> Iterator[Mismatch]:
    """Compare one value of each replica; what is the same in many replicas is said once."""
    common = [name for name in first.replicas if name in second.replicas]
    groups: dict[tuple[str, str], list[str]] = {}
    for name in common:
        pair = (first.replicas[name][what], second.replicas[name][what])
        if pair[0] != pair[1]:
            shown = _only_words(*pair) if what == "command" else pair
            groups.setdefault(shown, []).append(name)
    weight: Weight = "stated" if what in STATED else "misleads"
    for (left, right), names in groups.items():
        everywhere = len(names) == len(common) > 1
        replicas = "every replica" if everywhere else ", ".join(names)
        yield Mismatch(f"{what} of {replicas}", left, right, weight)


def _only_words(first: str, second: str) -> tuple[str, str]:
    """Give the words that only one of two commands has; both commands where the words are equal."""
    firsts, seconds = first.split(), second.split()
    only = (
        " ".join(word for word in firsts if word not in seconds),
        " ".join(word for word in seconds if word not in firsts),
    )
    return (only[0] or "nothing more", only[1] or "nothing more") if any(only) else (first, second)


def _in_kind(first: WorldSetup, second: WorldSetup) -> Iterator[Mismatch]:
    """State what differs because the second is Docker; it is part of what is measured."""
    interval_s = min(replica.health.interval_s for replica in second.plan.replicas)
    probes = f"the engine runs a probe in each container every {interval_s:g} s"
    texts = {
        "network path": (
            "veth, our bridge and the host's routing",
            "veth, Docker's bridge and its rules",
        ),
        "health": ("no probe runs unless status is asked", probes),
        "tiers": (
            "one address a replica; the host routes between tiers",
            "a container joins each network it must reach",
        ),
        "names": ("/etc/hosts", "/etc/hosts, Docker's own resolver behind it"),
        "namespaces": ("network, mount, IPC and UTS", "network, mount, PID, IPC and UTS"),
    }
    if len(first.plan.segments) == 1:
        del texts["tiers"]
    for title, (net, docker) in texts.items():
        yield Mismatch(title, net, docker, "stated")
