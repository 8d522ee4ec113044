"""The namespace world as the rest of the project sees it: up, down, status, exec, logs.

Holds no state: every answer is read from the kernel, the supervisor and the cgroups.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from twinstack.errors import CannotTell, Missing, NotHealthy, SeveralFailed, TwinstackError
from twinstack.linux import netns, procfs
from twinstack.linux import process as shell
from twinstack.model.names import link_group
from twinstack.model.plan import HOST, Plan, Replica
from twinstack.model.topology import WorldName
from twinstack.namespaces import (
    apply,
    cgroups,
    dumps,
    interfaces,
    launch,
    observe,
    preflight,
    supervisor,
    teardown,
)
from twinstack.namespaces import policy as policing
from twinstack.namespaces import replica as inside
from twinstack.namespaces.facts import Facts
from twinstack.namespaces.launch import Software
from twinstack.namespaces.network_steps import network_steps
from twinstack.namespaces.removals import Removal, Surplus, removals
from twinstack.namespaces.steps import Change, Step, diff
from twinstack.reconcile import UNWATCHED, Progress, Watch
from twinstack.software.facts import software_answer, software_question
from twinstack.state.journal import read_journal
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths
from twinstack.world import Endpoint, Link, Process, ServiceState, State

_PROBE_EVERY_S = 0.1
_LOG_TAIL = 15


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that `up` would do now, beside the whole list it was taken from.

    `surplus` is what goes because it is declared no longer. `unbuilt` says what must be built
    before the rest can be told; empty when nothing must.
    """

    steps: tuple[Step, ...]
    changes: tuple[Change, ...]
    facts: Facts
    surplus: tuple[Removal, ...] = ()
    unbuilt: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[Change | Surplus, ...]:
        """Give all of it in the order of doing, each with its reason."""
        return (*(Surplus(one) for one in self.surplus), *self.changes)


class NamespaceWorld:
    """The plan on raw Linux primitives.

    `software` gives what the services run on; it is asked only when something is to be started
    or compared, since making it for the first time takes a while. `bare` leaves the processes
    out: the network alone. `watch` is told of every step.
    """

    name: WorldName = "net"

    def __init__(
        self,
        plan: Plan,
        software: Callable[[Progress], Software],
        templates: Path,
        built: Callable[[], Software | None] = lambda: None,
        *,
        bare: bool = False,
        watch: Watch = UNWATCHED,
    ) -> None:
        self.plan = plan
        self.bare = bare
        self._software = software
        self._built = built
        self._templates = templates
        self._places = InstancePaths(plan.instance)
        self._watch = watch

    def difference(self, progress: Progress) -> Difference:
        """Compare the plan with what is there. Raises: Missing, StepFailed."""
        return self._difference(None if self.bare else self._software(progress))

    def preview(self) -> Difference:
        """Compare as `difference` does, building nothing. Raises: Missing, StepFailed."""
        require_root("net.plan")
        return self._difference(None if self.bare else self._built())

    def _difference(self, software: Software | None) -> Difference:
        steps: tuple[Step, ...] = network_steps(self.plan)
        unbuilt: tuple[str, ...] = ()
        if software is not None:
            layout = cgroups.read_layout()
            steps = (*steps, *launch.steps(self.plan, software, layout, self._templates))
        elif not self.bare:
            unbuilt = ("root trees, packages and secrets are to be built first",)
        facts = observe.observe(self.plan, steps)
        surplus: tuple[Removal, ...] = ()
        if not unbuilt:  # else nobody can tell what of it is surplus
            surplus = removals(facts.owned, steps, group=link_group(self.plan.instance))
        return Difference(steps, diff(steps, facts), facts, surplus, unbuilt)

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring the plan about, then wait until every service is healthy.

        What is as planned is not touched; what is declared no longer goes. Ctrl-C or a failure
        while nothing of ours was there before undoes what was half-done.
        Raises: NotOurs before anything is changed; Locked; StepFailed; NotHealthy.
        """
        require_root("net.up")
        with locked(self._places, self.name):
            fresh = read_journal(self._places).empty
            found = self.difference(progress)
            try:
                preflight.check(self.plan, found.steps, found.facts)
            except TwinstackError:
                if fresh:
                    teardown.forget(self.plan.instance)  # nothing was changed, the lock's file too
                raise
            try:
                if found.told:
                    progress(f"{len(found.told)} steps to do, {len(found.steps)} are planned")
                teardown.remove_surplus(self.plan.instance, found.surplus, found.facts, self._watch)
                apply.apply(
                    self.plan,
                    found.changes,
                    found.facts,
                    progress,
                    bare=self.bare,
                    watch=self._watch,
                )
            except BaseException:
                self._undo(fresh, progress)
                raise
            try:
                # A service that is merely slow or ill keeps its world: there is a log to read.
                return self.status() if self.bare else self._wait(timeout_s, progress)
            except KeyboardInterrupt:
                self._undo(fresh, progress)
                raise

    def _undo(self, fresh: bool, progress: Progress) -> None:
        if fresh:
            progress("undoing what was half-done")
            teardown.down(self.plan.instance)
            teardown.forget(self.plan.instance)
        else:
            progress('what was there before stays; "invoke net.up" goes on from here')

    def _wait(self, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        deadline = time.monotonic() + timeout_s
        told: set[str] = set()
        while True:
            states = self.status()
            for state in states:
                if state.state == "healthy" and state.name not in told:
                    told.add(state.name)
                    progress(f"{state.name} is healthy ({len(told)} of {len(states)})")
            ill = [state for state in states if state.state != "healthy"]
            if not ill:
                return states
            if time.monotonic() > deadline:
                raise SeveralFailed(
                    "net.up", [self._not_healthy(state, timeout_s) for state in ill]
                )
            time.sleep(_PROBE_EVERY_S)

    def _not_healthy(self, state: ServiceState, timeout_s: float) -> NotHealthy:
        tail = self.logs(state.name, lines=_LOG_TAIL).strip()
        error = NotHealthy(
            state.name,
            f"is {state.state} after {timeout_s:g} s",
            state.detail,
            f'see "invoke net.logs {state.name}"',
        )
        error.add_note(tail or "its log is empty")
        return error

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        """Remove everything but data. Raises: Locked, SeveralFailed."""
        return down(self.plan.instance, progress=progress)

    def clean(self, *, progress: Progress) -> tuple[str, ...]:
        """Remove everything, data too. Raises: Locked, SeveralFailed."""
        return clean(self.plan.instance, progress=progress)

    def apply_policy(self, *, policy: bool, rate_limit: bool) -> None:
        """Rewrite the rules and the bridges' switch alone. Raises: Locked, StepFailed."""
        require_root("net.up")
        with locked(self._places, self.name):
            policing.apply_policy(
                replace(
                    self.plan,
                    policy=policy,
                    rate_limit=self.plan.rate_limit if rate_limit else None,
                )
            )

    def status(self) -> tuple[ServiceState, ...]:
        """Probe every replica at once, each in its own namespace and root."""
        told = () if self.bare else supervisor.observe(self._places).processes
        processes = {one.replica: one for one in told}
        up = read_journal(self._places).shape is not None

        def state_of(replica: Replica) -> ServiceState:
            process = processes.get(replica.name)
            pid = process.pid if process else None
            state: State
            detail = ""
            if not up or not netns.is_pinned(replica.name):
                state, detail = "absent", ""
            elif self.bare:
                state, detail = "stopped", "the network alone is up"
            elif pid is None:
                state = "stopped"
                detail = process.state.lower() if process else "not supervised"
            else:
                state, detail = inside.probe(replica, pid)
            return ServiceState(
                replica.name,
                replica.service,
                f"netns {replica.name}",
                str(replica.address),
                replica.port,
                state,
                detail,
                pid,
                process.restarts if process else 0,
            )

        if self.bare:  # nobody to wait for
            return tuple(map(state_of, self.plan.here))
        with ThreadPoolExecutor(max_workers=8) as pool:
            return tuple(pool.map(state_of, self.plan.here))

    def exec(self, replica: str, command: Sequence[str]) -> int:
        """Run one of the host's commands in a replica's network, on this terminal."""
        return inside.run(self.plan.replica(replica).name, command)

    def logs(self, replica: str, *, lines: int) -> str:
        """Give the last lines of a replica's log, the rotated part included."""
        path = launch.log_path(self._places, self.plan.replica(replica).name)
        text = ""
        for part in (path.with_name(path.name + ".1"), path):
            if part.is_file():
                text += part.read_text(errors="replace")
        return "".join(text.splitlines(keepends=True)[-lines:])

    def endpoint(self, service: str, number: int = 1) -> Endpoint:
        """Give a replica's own address and port."""
        replica = self.plan.replicas_of(service)[number - 1]
        return Endpoint(str(replica.address), replica.port)

    def published(self, service: str) -> Endpoint | None:
        """Give the host's port that leads to a service."""
        door = self.plan.published_port("net", service)
        return None if door is None else Endpoint("127.0.0.1", door.port)

    def links(self) -> tuple[Link, ...]:
        """List the interfaces that are there. Raises: Missing without root; StepFailed."""
        require_root("net.links")
        return interfaces.observed(self.plan)

    def namespaces(self) -> dict[str, Path | None]:
        """Map the host and each namespace that bears our mark. Raises: Missing; StepFailed."""
        require_root("net.links")
        found = dumps.marked_namespaces(self.plan.mark)
        return {HOST: None, **{name: netns.PINS / name for name in found}}

    def processes(self) -> tuple[Process, ...]:
        """List every process in the replicas' cgroups."""
        layout = cgroups.read_layout()
        return tuple(
            Process(pid, replica.name, " ".join(procfs.cmdline(pid)))
            for replica in self.plan.here
            for pid in cgroups.processes(self.plan.instance, replica.name, layout)
        )

    def main_pids(self) -> dict[str, int]:
        """Ask the supervisor for the process of each replica that runs."""
        if read_journal(self._places).shape is None:
            return {}
        known = {replica.name for replica in self.plan.here}  # others serve the world itself
        told = supervisor.observe(self._places).processes
        return {one.replica: one.pid for one in told if one.pid and one.replica in known}

    def cgroup_paths(self) -> dict[str, str]:
        """Give each replica's cgroup, as the plan names it."""
        paths = {one.name: cgroups.path_of(self.plan.instance, one.name) for one in self.plan.here}
        return {name: f"/{path}" for name, path in paths.items()}

    def cpu_us(self) -> dict[str, int]:
        """Give each replica's CPU time so far in microseconds."""
        layout = cgroups.read_layout()
        return {
            replica.name: cgroups.cpu_us(self.plan.instance, replica.name, layout)
            for replica in self.plan.here
        }

    def supervising(self) -> tuple[int, ...]:
        """List the processes that run the world and belong to no replica."""
        found = supervisor.pid(self._places)
        layout = cgroups.read_layout()
        rotators = cgroups.processes(self.plan.instance, launch.ROTATOR, layout)
        return (*((found,) if found else ()), *rotators)

    def software(self) -> dict[str, str]:
        """Ask one replica of each role, in its own root, what it runs.

        Raises: CannotTell when one does not run.
        """
        answer: dict[str, str] = {}
        told = supervisor.observe(self._places).processes
        pids = {one.replica: one.pid for one in told if one.pid}
        for role, replica in {one.role: one for one in reversed(self.plan.here)}.items():
            if replica.name not in pids:
                raise CannotTell(replica.name, "cannot be asked what it runs", "it does not run")
            inside = ["nsenter", "--target", str(pids[replica.name]), "--mount", "--"]
            answer |= software_answer(shell.run([*inside, *software_question(role)]).stdout)
        return answer


def down(
    instance: str, *, progress: Progress, data: bool = False, watch: Watch = UNWATCHED
) -> tuple[str, ...]:
    """Take an instance's namespace world down, whatever its plan was, and `data` with it.

    Raises: Locked; SeveralFailed after everything else was removed.
    """
    require_root("net.down")
    places = InstancePaths(instance)
    with locked(places, "net"):
        removed = teardown.down(instance, watch)
        if data:
            removed = (*removed, *teardown.remove_data(instance))
        teardown.forget(instance)
    return removed


def clean(instance: str, *, progress: Progress) -> tuple[str, ...]:
    """As `down`, and the data under /var/lib/twinstack/INSTANCE too. Raises: as `down`."""
    return down(instance, progress=progress, data=True)


def require_root(task: str) -> None:
    """Raise Missing unless we are root."""
    if os.geteuid() != 0:
        raise Missing(task, "cannot be done", "this needs root", "run it with sudo")
