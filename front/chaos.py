"""The tasks that break a running world for a while, and say what held."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from invoke.context import Context

from front import tables
from front.options import none_up, one_of, running, world_of
from front.reporting import answer, say, task, width
from twinstack import stack
from twinstack.errors import NOT_SO, WrongUse
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no world
    from twinstack.chaos.run import ChaosReport
    from twinstack.overlay.chaos import FaultReport

_WORLDS = ("overlay", "net", "docker", "swarm")
#: Of a Swarm: an engine with all its tasks, killed as by a power cut.
_SWARM_NODE = "swarm-node"
_MOST_SECONDS, _MOST_COUNT, _MOST_MINUTES = 600, 10_000, 24 * 60


@dataclass(frozen=True, slots=True)
class ListedFault:
    """A fault: what it does, what must hold meanwhile with which targets, or why it is refused."""

    fault: str
    does: str
    promises: Mapping[str, list[str]]
    refused: str


@dataclass(frozen=True, slots=True)
class ListedFaults:
    """All faults."""

    faults: tuple[ListedFault, ...]


@dataclass(frozen=True, slots=True)
class LostNode:
    """A node of a Swarm that was killed, if anything ran there."""

    host: str
    lost: bool


@task(
    help={
        "world": "the world to break: overlay, net, docker or swarm; unset: the one that is up",
        "what": "net and docker: FAULT[:TARGET][,…] of chaos.list, unset: each; overlay: host-loss,"
        " partition or mtu (the underlay drops larger packets); swarm: swarm-node (its engine and"
        " tasks are killed; swarm.up starts them again)",
        "seconds": "how long a fault stays; in net and docker, at most",
        "count": "net and docker: how many strikes; unset: one with each fault",
        "minutes": "net and docker: go on for so long",
        "seed": "net and docker: draws the strikes, the same ones again; negative: a random one",
        "host": "overlay and swarm: the host to break; unset: the last one",
        "move": "overlay: start its replicas on other hosts meanwhile",
    }
)
def chaos(
    _: Context,
    what: str = "",
    world: str = "",
    seconds: int = 10,
    count: int = 0,
    minutes: float = 0.0,
    seed: int = -1,
    host: str = "",
    move: bool = False,
    json: bool = False,
) -> None:
    """Break a running world for a while, watch its clients, restore it; exits 1 if they suffer."""
    bounds.within("seconds", seconds, 1, _MOST_SECONDS, "it is a time, more than 0")
    bounds.within("count", count, 0, _MOST_COUNT)
    bounds.within("minutes", minutes, 0, _MOST_MINUTES)
    require_root("chaos")
    chosen = world or ("swarm" if what == _SWARM_NODE else _world_up())
    one_of("world", chosen, _WORLDS)
    if chosen == "swarm":
        _swarm(what or _SWARM_NODE, host, json)
    elif chosen == "overlay":
        _overlay(what or "host-loss", host, seconds, move, json)
    else:
        if host or move:
            cause, remedy = f"the {chosen} world has one host", "leave them out"
            raise WrongUse("--host and --move", "cannot be used", cause, remedy)
        _single_host(chosen, what, seconds, count, minutes, seed, json)


def _world_up() -> str:
    """Name the world that is up, an overlay first. Raises: Missing."""
    from twinstack.overlay import record

    here = stack.from_environment()
    if record.read(here.instance) is not None:
        return "overlay"
    if here.net_shape():
        return "net"
    if here.docker_shape():
        return "docker"
    raise none_up("chaos", "has nothing to break")


def _single_host(
    name: str, what: str, seconds: int, count: int, minutes: float, seed: int, json: bool
) -> None:
    from twinstack.chaos import run

    world = running(name)
    if world is None:
        raise world_of(name).absence()
    report = run.run(
        world,
        what,
        seed=seed if seed >= 0 else random.randrange(2**31),
        count=count or None,
        minutes=minutes or None,
        longest_s=seconds,
        progress=say,
    )
    answer(json, report, strikes_text(report), 0 if report.held else NOT_SO)


def strikes_text(report: ChaosReport) -> str:
    """Write what was struck, and what held, as a table."""
    header = ("", "fault", "target", "s", "reads", "failed", "slowest", "full after", "held")
    rows = [
        (
            str(struck.number),
            struck.fault,
            struck.target,
            f"{struck.seconds:.1f}",
            str(struck.reads),
            str(struck.reads_failed),
            f"{struck.slowest_s:.2f} s",
            f"{struck.full_after_s:.2f} s",
            "yes" if struck.held else "no",
        )
        for struck in report.strikes
    ]
    broken = [
        f"{struck.number} {struck.fault}:{struck.target}: {sentence}"
        for struck in report.strikes
        for sentence in struck.broken
    ]
    seen = report.orders
    orders = (
        f"{seen.asked} orders, {seen.acknowledged} acknowledged: {len(seen.lost)} lost,"
        f" {len(seen.undecided)} undecided, {seen.surplus} more taken from stock than ordered"
    )
    table = tables.columns(header, rows, width(), keep=("", "fault", "target", "held"))
    replay = f"seed {report.seed}: the same again with --seed {report.seed}"
    return "\n".join([table, "", *broken, orders, *seen.violations, replay])


@task()
def chaos_list(_: Context, json: bool = False) -> None:
    """List the faults: what each does, to what, and what must hold meanwhile."""
    from twinstack.faults.catalogue import FAULTS

    plan = stack.from_environment().plan()
    listed = []
    for fault in FAULTS.values():
        promises: dict[str, list[str]] = {}
        for target in fault.targets(plan):
            promises.setdefault(str(fault.promise(plan, target)), []).append(target)
        listed.append(ListedFault(fault.name, fault.does, promises, fault.refused))
    answer(json, ListedFaults(tuple(listed)), "\n".join(map(_fault_text, listed)))


def _fault_text(listed: ListedFault) -> str:
    lines = [f"{listed.fault}: {listed.does}"]
    if listed.refused:
        lines.append(f"    refused: {listed.refused}")
    for promise, targets in listed.promises.items():
        lines += [f"    {promise}:", f"        {' '.join(targets)}"]
    return "\n".join(lines)


def _overlay(what: str, host: str, seconds: int, move: bool, json: bool) -> None:
    from twinstack.overlay import chaos as faults

    one_of("what", what, faults.FAULTS)
    here = stack.from_environment()
    world = here.overlay(lost=frozenset())
    report = faults.cause(
        world,
        cast("faults.Fault", what),
        host or world.spread.hosts[-1].name,
        seconds=seconds,
        move=move,
        timeout_s=bounds.UP_TIMEOUT_S,
        progress=say,
        elsewhere=lambda lost: here.overlay(lost=lost),
    )
    answer(json, report, report_text(report), 0 if report.recovered else NOT_SO)


def _swarm(what: str, host: str, json: bool) -> None:
    if what != _SWARM_NODE:
        raise WrongUse("--what", f"cannot be {what}", f"a Swarm has {_SWARM_NODE} alone")
    world = stack.from_environment().swarm()
    name = host or world.hosts[-1].name
    lost = world.lose(name)
    text = f"{name}: its engine and tasks ended" if lost else f"{name}: nothing ran there"
    answer(json, LostNode(name, lost), text)


def report_text(report: FaultReport) -> str:
    """Write what became of a host of the overlay as a table."""
    from twinstack.overlay.chaos import PATH

    header = ("", "seconds", "asked", "good", "longest gap", "served by")
    rows = [
        (
            phase.name,
            f"{phase.seconds:.1f}",
            str(phase.asked),
            str(phase.good),
            f"{phase.longest_gap_s:.2f} s",
            " ".join(phase.served_by) or "none",
        )
        for phase in report.phases
    ]
    title = f"{report.fault} of {report.host}, seen from {report.client}: GET {PATH}"
    end = "every request is answered again" if report.recovered else "some requests still fail"
    return f"{title}\n\n{tables.columns(header, rows, width())}\n\n{end}"
