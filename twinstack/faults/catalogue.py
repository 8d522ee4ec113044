"""The table of faults: what each does, to what, and what must hold meanwhile.

The same table for both worlds. A fault observes its target and gives the effects that it is made
of; `Promise` is what a user may rely on while it is there, and after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from twinstack.errors import WrongUse
from twinstack.faults import making
from twinstack.faults.effect import Effect
from twinstack.model.plan import Plan, Replica
from twinstack.world import LocalWorld


@dataclass(frozen=True, slots=True)
class Promise:
    """What must hold while a fault is in place, and after it. Orders are never lost nor doubled.

    Units: seconds.
    """

    reads_failing: float | None  # the share that may fail; None: all, it is their only way
    slowest_s: float  # an answer to a read takes no longer
    full_within_s: float  # after the fault every read and every order is answered again

    def __str__(self) -> str:
        reads = {None: "reads may fail", 0.0: "every read is answered"}.get(
            self.reads_failing, f"{1 - (self.reads_failing or 0):.0%} of reads are answered"
        )
        return f"{reads}, in {self.slowest_s:g} s; all again within {self.full_within_s:g} s"


Targets = Callable[[Plan], tuple[str, ...]]
Made = Callable[[LocalWorld, str], Iterator[Effect]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the table."""

    name: str
    does: str  # for `chaos.list`
    targets: Targets  # what it may be put to, for a plan
    effects: Made  # observes, changes nothing. Raises: Missing, CannotTell
    promise: Callable[[Plan, str], Promise]
    refused: str = ""  # why it can be put nowhere
    lasts: bool = True  # else it is over as it is put
    restarts: bool = False  # taking it away starts every replica again: its end is before that


def _replicas(plan: Plan) -> tuple[str, ...]:
    return tuple(replica.name for replica in plan.here)


def _tiers(plan: Plan) -> tuple[str, ...]:
    """List the pairs of tiers that talk: a flow leads from one to the other."""
    tier = {replica.service: replica.tier for replica in plan.replicas}
    ends = ((tier.get(flow.source), tier.get(flow.destination)) for flow in plan.flows)
    pairs = {f"{one}/{other}": None for one, other in ends if one and other and one != other}
    return tuple(pairs)


def _of(*runtimes: str) -> Targets:
    return lambda plan: tuple(each.name for each in plan.here if each.runtime in runtimes)


_SPARED = Promise(0.0, 2.0, 3.0)
_ONLY_WAY = Promise(None, 6.0, 5.0)
_ASIDE = Promise(0.0, 2.0, 5.0)


def by_place(plan: Plan, target: str) -> Promise:
    """Promise by what is left: other replicas, nothing, or all that a read needs."""
    replica = plan.replica(target)
    if len(plan.replicas_of(replica.service)) > 1:
        return _SPARED
    return _ONLY_WAY if _on_the_way(replica) else _ASIDE


def _on_the_way(replica: Replica) -> bool:
    """Say whether a read passes a service; of the stores it needs one, and Redis can be spared."""
    return replica.runtime in {"nginx", "asgi", "postgres"} or replica.service == "product-service"


def _cut(plan: Plan, target: str) -> Promise:
    """Promise reads only where a cut leaves their way alone."""
    sides = [making.members_of(plan, side) for side in target.split("/", 1)]
    return _ONLY_WAY if all(any(map(_on_the_way, side)) for side in sides) else _ASIDE


def _restarted(plan: Plan, target: str) -> Promise:
    """Promise as by place; what could not start is tried again later and later."""
    return replace(_ONLY_WAY, full_within_s=12.0)


def _engine_gone(plan: Plan, target: str) -> Promise:
    """Promise all reads while it is gone; until every replica is started again none."""
    return Promise(0.0, 2.0, 15.0)


def _slower(plan: Plan, target: str) -> Promise:
    """Promise all but a few answers, late: packets are sent again."""
    return replace(by_place(plan, target), reads_failing=0.05, slowest_s=6.0)


#: Every fault, by name.
FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "kill",
            "SIGKILL to every process of a replica",
            _replicas,
            making.killed,
            by_place,
            lasts=False,
        ),
        Fault(
            "sigstop",
            "SIGSTOP to every process of a replica",
            _replicas,
            making.suspended,
            by_place,
        ),
        Fault("stop", "an orderly stop of a replica", _replicas, making.stopped, by_place),
        Fault("link-down", "a replica's link is down", _replicas, making.link_down, by_place),
        Fault("partition", "no packet passes between two tiers", _tiers, making.partitioned, _cut),
        Fault(
            "loss",
            f"{making.LOSS:.0%} of a replica's packets are dropped, each way (iptables statistic)",
            _replicas,
            making.lossy,
            _slower,
        ),
        Fault(
            "rate",
            f"a replica's link carries {making.RATE_KBIT} kbit/s each way (tc tbf)",
            _replicas,
            making.shaped,
            _slower,
        ),
        Fault(
            "delay",
            f"a replica's packets wait {making.DELAY_MS} ms each way (NFQUEUE; no netem needed)",
            _replicas,
            making.delayed,
            _slower,
        ),
        Fault(
            "flush",
            "Redis loses all that it holds",
            _of("redis"),
            making.emptied,
            by_place,
            lasts=False,
        ),
        Fault(
            "disk-full",
            "PostgreSQL can write to no file (RLIMIT_FSIZE: the host's disk is not filled)",
            _of("postgres"),
            making.full,
            _restarted,
        ),
        Fault(
            "engine",
            "SIGKILL to what runs the world: supervisord, or a dockerd of ours",
            lambda _plan: ("engine",),
            making.engine,
            _engine_gone,
            restarts=True,
        ),
        Fault(
            "clock-jump",
            "the wall clock jumps",
            lambda _plan: (),
            making.stopped,
            by_place,
            "no namespace has a wall clock of its own: it would be the host's (time_namespaces(7))",
        ),
    )
}


def find(name: str) -> Fault:
    """Give a fault by its name. Raises: WrongUse that lists them."""
    if name not in FAULTS:
        cause = f"there are {', '.join(FAULTS)}"
        raise WrongUse(f"fault {name}", "is unknown", cause, "choose one of them")
    if refused := FAULTS[name].refused:
        raise WrongUse(f"fault {name}", "cannot be put", refused, "choose another fault")
    return FAULTS[name]
