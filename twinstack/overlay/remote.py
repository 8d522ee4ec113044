"""The stack on machines reached by ssh: the same steps, done by the same code, over there.

Each machine is handed the topology and does its own share of the plan, as a simulated host does
(`agent`). What it needs is brought first, once (`pieces`, `shipping`): the code, and the software
of its own replicas. Passwords are made and kept here; a machine is told those of its own replicas.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twinstack.confinement import seccomp
from twinstack.model.plan import Plan, Replica
from twinstack.namespaces import teardown
from twinstack.namespaces import world as namespaces
from twinstack.overlay import fanout, hosts, record
from twinstack.overlay.bundles import Carried, carried, code
from twinstack.overlay.fanout import Asked
from twinstack.overlay.host_plans import Spread, host_instance, machines_instance
from twinstack.overlay.record import Record
from twinstack.overlay.ssh import Machine
from twinstack.overlay.upload import Parcels, bring, forget, survey
from twinstack.reconcile import Progress
from twinstack.software.roots import Roots
from twinstack.software.secrets import ensure_secrets, secrets_of
from twinstack.software.wheels import Software as Installed
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import ServiceState

Provided = tuple[Roots, Installed]
_LOCK = "overlay"
_READING_S = 120.0
#: What steps take, beside the time until services are healthy.
_STEPS_S = 300.0


@dataclass(frozen=True, slots=True)
class Share:
    """What a machine differs in, by its own account; `unreached` says why it gave none."""

    host: str
    planned: int = 0
    changes: tuple[tuple[str, ...], ...] = ()
    unbuilt: tuple[str, ...] = ()
    unreached: str = ""


class Remote:
    """One plan on several machines.

    `topology` is its text, which every machine resolves anew. `provide` gives the software, built
    where it is not; `find` gives it if it is there. `bare`: networks alone.
    """

    def __init__(
        self,
        plan: Plan,
        spread: Spread,
        topology: str,
        machines: Sequence[Machine],
        provide: Callable[[Progress], Provided],
        find: Callable[[], Provided | None],
        *,
        bare: bool = False,
    ) -> None:
        self.plan = plan
        self.spread = spread
        self.bare = bare
        self.machines = tuple(one for one in machines if one.name not in spread.lost)
        self._topology = topology
        self._provide, self._find = provide, find
        self._places = InstancePaths(machines_instance(plan.instance))

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring the plan about on every machine, and wait until every service is healthy.

        Nothing is begun unless all can be reached. When one fails, the others stop waiting, and a
        machine that had nothing of ours undoes its share. Raises: StepFailed, NotHealthy,
        SeveralFailed, each named by its machine; Locked.
        """
        namespaces.require_root("overlay.up")
        with locked(self._places, _LOCK):
            there = fanout.all_of(self.machines, survey)
            provided = None if self.bare else self._provide(progress)
            if not self.bare:
                ensure_secrets(self._secrets, self.plan)
            self._record()
            shares = {one.name: self._carried(one, provided) for one in self.machines}
            self._bring(there, shares, progress)
            orders = {
                one.name: self._order(
                    "up", one, shares[one.name], secrets=True, timeout_s=timeout_s
                )
                for one in self.machines
            }
            found = fanout.ask_all(self.machines, orders, progress, timeout_s + _STEPS_S)
        return self._told(found)

    def status(self) -> tuple[tuple[ServiceState, ...], tuple[Share, ...]]:
        """Ask each machine how its services do, and in what it differs; go on past errors."""
        told = self._ask("status", lambda _line: None)
        found = {name: one.done["services"] for name, one in told.items() if one.done}
        return self._told(found), tuple(map(_share, told.values()))

    def preview(self, progress: Progress) -> tuple[Share, ...]:
        """Tell what `up` would do on each machine; leaves no code behind where none was."""
        told = self._ask("plan", progress)
        fanout.raise_any([one.failure for one in told.values()])
        return tuple(map(_share, told.values()))

    def logs(self, replica: str, *, lines: int) -> str:
        """Give the end of a replica's log. Raises: TwinstackError for a name that is none."""
        name = self.plan.replica(replica).name
        there = [one for one in self.machines if one.name == self.spread.where[name]]
        told = self._ask("logs", lambda _line: None, there, replica=name, lines=lines)
        fanout.raise_any([answer.failure for answer in told.values()])
        return str(told[there[0].name].done)

    def _ask(
        self,
        action: str,
        progress: Progress,
        machines: Sequence[Machine] | None = None,
        **words: Any,
    ) -> dict[str, Asked]:
        provided = None if self.bare else self._find()

        def work(one: Machine) -> Any:
            order = self._order(action, one, self._carried(one, provided), **words)
            return _asked(one, order, progress, _READING_S)

        code()  # once, before the threads
        return fanout.each(machines or self.machines, work)

    @property
    def _secrets(self) -> Path:
        return self._places.lib / "secrets"

    def _record(self) -> None:
        plan, lost = self.plan, tuple(sorted(self.spread.lost))
        asked = Record(
            plan.shape, len(self.spread.hosts), lost, plan.policy, plan.limited, self.bare
        )
        record.write_to(self._places.lib, asked)

    def _here(self, one: Machine) -> list[Replica]:
        return [it for it in self.plan.replicas if self.spread.where[it.name] == one.name]

    def _carried(self, one: Machine, provided: Provided | None) -> Carried | None:
        if provided is None:
            return None
        return carried({replica.role for replica in self._here(one)}, *provided)

    def _bring(
        self,
        there: Mapping[str, frozenset[str]],
        shares: Mapping[str, Carried | None],
        progress: Progress,
    ) -> None:
        with Parcels() as parcels:

            def work(one: Machine) -> int:
                share = shares[one.name]
                pieces = [code(), *(share.all if share else ())]
                told = hosts.prefixed(progress, one.name)
                return bring(one, pieces, there[one.name], parcels, told)

            fanout.all_of(self.machines, work)

    def _order(
        self,
        action: str,
        one: Machine,
        share: Carried | None,
        *,
        secrets: bool = False,
        **words: Any,
    ) -> dict[str, Any]:
        """Write what a machine is asked, whole: it has no topology of its own."""
        return {
            "action": action,
            "host": one.name,
            "topology": self._topology,
            "instance": self.plan.instance,
            "shape": self.plan.shape,
            "policy": self.plan.policy,
            "limited": self.plan.limited,
            "lost": sorted(self.spread.lost),
            "bare": self.bare,
            "software": share.names if share else None,
            "seccomp": asdict(seccomp.compiled()) if share else None,
            "secrets": secrets_of(self._secrets, self._here(one)) if secrets and share else {},
            **words,
        }

    def _told(self, found: Mapping[str, list[dict[str, Any]]]) -> tuple[ServiceState, ...]:
        states = {host: [ServiceState(**one) for one in told] for host, told in found.items()}
        return hosts.located(self.plan, self.spread, states, "its machine did not tell")


def _asked(one: Machine, order: Mapping[str, Any], progress: Progress, bound_s: float) -> Any:
    """Ask a machine, and bring the code there for as long as that takes where it has none."""
    try:
        return fanout.ask(one, order, progress, threading.Event(), bound_s)
    except fanout.NoAgent:
        there = survey(one)
    with Parcels() as parcels:
        bring(one, [code()], there, parcels, hosts.prefixed(progress, one.name))
    try:
        return fanout.ask(one, order, progress, threading.Event(), bound_s)
    finally:
        if not there:  # who reads leaves nothing
            forget(one, host_instance(order["instance"], one.name))


def _share(told: Asked) -> Share:
    if told.failure:
        return Share(told.host, unreached=str(told.failure))
    found = told.done
    return Share(
        told.host, found["planned"], tuple(map(tuple, found["changes"])), tuple(found["unbuilt"])
    )


def recorded(instance: str) -> Record | None:
    """Read what was last asked of an instance's machines; None when nothing is up there."""
    return record.read_from(InstancePaths(machines_instance(instance)).lib)


def down(instance: str, machines: Sequence[Machine], progress: Progress) -> dict[str, list[str]]:
    """Remove everything of ours from every machine: data, software and code too.

    What is remembered here goes when all are done. Raises: the one error there was, or
    SeveralFailed, after all the others were cleared; Locked.
    """
    namespaces.require_root("overlay.down")
    places = InstancePaths(machines_instance(instance))

    def work(one: Machine) -> list[str]:
        order = {"action": "down", "instance": instance, "host": one.name}
        removed: list[str] = _asked(one, order, progress, _STEPS_S)
        forget(one, host_instance(instance, one.name))
        return removed

    with locked(places, _LOCK):
        code()  # once, before the threads
        found = fanout.all_of(machines, work)
        for _ in teardown.remove_data(places.instance):
            pass
        remove_run(places, _LOCK)
    return found
