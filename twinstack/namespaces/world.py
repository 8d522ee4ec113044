"""The namespace world as the rest of the project sees it.

Holds no state: every answer is read from the kernel, the supervisor and the cgroups.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
    launch,
    marks,
    observe,
    preflight,
    supervisor,
    teardown,
)
from twinstack.namespaces import replica as inside
from twinstack.namespaces.facts import NetFacts
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.namespaces.logs import NamespaceLogs
from twinstack.namespaces.policy import apply_policy
from twinstack.namespaces.removals import Removal, removals
from twinstack.namespaces.steps import NetStep, network_steps
from twinstack.printable import counted
from twinstack.reconcile import UNDECLARED, UNWATCHED, Change, Preview, Progress, Watch, diff
from twinstack.software.facts import released_versions, software_answer, software_question
from twinstack.state.journal import read_journal
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths
from twinstack.world import Endpoint, Link, LogSearch, Process, ServiceState
from twinstack.world import require_root as require_root

_PROBE_EVERY_S = 0.1
_LOG_TAIL = 15


@dataclass(frozen=True, slots=True)
class PendingChanges:
    """What `up` would do now, and what it was decided from."""

    steps: tuple[NetStep, ...]  # of the plan
    facts: NetFacts
    undeclared: tuple[Removal, ...]  # first to go
    changes: tuple[Change[NetStep], ...]
    unbuilt: tuple[str, ...] = ()  # what must be built before the rest can be known

    @property
    def preview(self) -> Preview:
        removed = (Change(removal, UNDECLARED) for removal in self.undeclared)
        return Preview(len(self.steps), (*removed, *self.changes), self.unbuilt)


class NamespaceWorld(NamespaceLogs):
    """The plan on raw Linux primitives."""

    name: WorldName = "net"
    plan: Plan

    def __init__(
        self,
        plan: Plan,
        software: Callable[[Progress], ProvidedSoftware],
        built: Callable[[], ProvidedSoftware | None] = lambda: None,
        *,
        bare: bool = False,
        watch: Watch = UNWATCHED,
    ) -> None:
        """`software` builds what the services run on, if need be; `built` gives it if it is there.

        `bare`: the network alone, without processes.
        """
        super().__init__(plan)
        self.bare = bare
        self._software = software
        self._built = built
        self._paths = InstancePaths(plan.instance)
        self._watch = watch

    @property
    def secrets(self) -> Path:
        return self._paths.secrets

    @property
    def host_namespace(self) -> Path | None:
        return None

    @property
    def versions_directory(self) -> Path:
        return self._paths.versions

    def preview(self) -> Preview:
        """Compare the plan with what is there, building nothing. Raises: Missing, StepFailed."""
        require_root("net.plan")
        software = None if self.bare else self._built()
        pending = self._pending(software)
        preview = pending.preview
        try:
            self._check(pending)
        except TwinstackError as error:
            preview = replace(preview, refused=str(error))
        if software is None or not software.stale_secrets:
            return preview
        reason = f"are missing or wrong for {', '.join(sorted(software.stale_secrets))}"
        secrets = Change(launch.StaleSecrets(), reason)
        return replace(preview, changes=(secrets, *preview.changes))

    def planned(self) -> tuple[NetStep, ...]:
        """List the plan's steps; those of processes only where their software is built."""
        return self._steps(None if self.bare else self._built())

    def _steps(self, software: ProvidedSoftware | None) -> tuple[NetStep, ...]:
        steps = network_steps(self.plan)
        if software is None:
            return steps
        return (*steps, *launch.steps(self.plan, software, cgroups.read_layout()))

    def _pending(self, software: ProvidedSoftware | None) -> PendingChanges:
        steps = self._steps(software)
        unbuilt: tuple[str, ...] = ()
        if software is None and not self.bare:
            unbuilt = ("root trees, packages and secrets are to be built first",)
        facts = observe.observe(self.plan, steps)
        undeclared: tuple[Removal, ...] = ()
        if not unbuilt:  # else the steps of what runs are unknown
            undeclared = removals(facts.owned, steps, group=link_group(self.plan.instance))
        return PendingChanges(steps, facts, undeclared, diff(steps, facts), unbuilt)

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring the plan about, then wait until every service is healthy.

        What is as planned is not touched; what is declared no longer is removed. Ctrl-C or a
        failure removes what was half-done, if nothing of ours was there before.
        Raises: NotOurs before anything is changed; Locked; StepFailed; NotHealthy.
        """
        require_root("net.up")
        with locked(self._paths, self.name):
            fresh = read_journal(self._paths).empty
            try:
                if fresh and not self.bare:  # before anything is built and a password made
                    self._check(self._pending(None))
                pending = self._pending(None if self.bare else self._software(progress))
                self._check(pending)
            except TwinstackError:
                if fresh:
                    teardown.forget(self.plan.instance)  # nothing was changed: the lock's file too
                raise
            try:
                self._apply(pending, progress)
            except BaseException:
                self._undo(fresh, progress)
                raise
            try:
                # A slow or unhealthy service keeps its world: there is a log to read.
                return self.status() if self.bare else self._wait("net.up", timeout_s, progress)
            except KeyboardInterrupt:
                self._undo(fresh, progress)
                raise

    def _check(self, pending: PendingChanges) -> None:
        preflight.check(self.plan, pending.steps, pending.facts)

    def _apply(self, pending: PendingChanges, progress: Progress) -> None:
        todo = len(pending.undeclared) + len(pending.changes)
        if todo:
            progress(f"{counted(todo, 'step')} to do, {len(pending.steps)} planned")
        teardown.remove_undeclared(
            self.plan.instance, pending.undeclared, pending.facts.owned.rules, self._watch
        )
        steps = [change.step for change in pending.changes]
        apply.apply(self.plan, steps, pending.facts, progress, bare=self.bare, watch=self._watch)

    def _undo(self, fresh: bool, progress: Progress) -> None:
        if fresh:
            progress("removing what was half-done")
            teardown.down(self.plan.instance)
            teardown.forget(self.plan.instance)
        else:
            progress('what was there before stays; "invoke net.up" continues from here')

    def restart(self, replica: str, *, timeout_s: float, progress: Progress) -> None:
        """Restart a replica's process and wait until it is healthy. Raises: Locked, NotHealthy."""
        require_root("net.restart")
        chosen = self.plan.replica(replica)
        with locked(self._paths, self.name):
            supervisor.end_programs(self._paths, {replica})
            supervisor.start_program(self._paths, replica)
            self._wait("net.restart", timeout_s, progress, (chosen,))

    def _wait(
        self,
        task: str,
        timeout_s: float,
        progress: Progress,
        replicas: tuple[Replica, ...] | None = None,
    ) -> tuple[ServiceState, ...]:
        deadline = time.monotonic() + timeout_s
        healthy: set[str] = set()
        while True:
            states = inside.states(
                self.plan, self.plan.here if replicas is None else replicas, bare=self.bare
            )
            for state in states:
                if state.state == "healthy" and state.name not in healthy:
                    healthy.add(state.name)
                    progress(f"{state.name} is healthy ({len(healthy)} of {len(states)})")
            unhealthy = [state for state in states if state.state != "healthy"]
            if not unhealthy:
                return states
            if time.monotonic() > deadline:
                errors = [self._not_healthy(state, timeout_s) for state in unhealthy]
                raise SeveralFailed(task, errors)
            time.sleep(_PROBE_EVERY_S)

    def _not_healthy(self, state: ServiceState, timeout_s: float) -> NotHealthy:
        error = NotHealthy(
            state.name,
            f"is {state.state} after {timeout_s:g} s",
            state.detail,
            f'see "invoke net.logs {state.name}"',
        )
        error.add_note(self.logs(state.name, lines=_LOG_TAIL).strip() or "its log is empty")
        return error

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        """Remove everything but data. Raises: Locked, SeveralFailed."""
        return down(self.plan.instance, progress=progress)

    def clean(self, *, progress: Progress) -> tuple[str, ...]:
        """Remove everything, data too. Raises: Locked, SeveralFailed."""
        return clean(self.plan.instance, progress=progress)

    def apply_policy(self, *, policy: bool, rate_limit: bool) -> None:
        """Rewrite only the rules and the bridges' nf_call_iptables.

        Raises: Locked; Missing when the world is not up; StepFailed.
        """
        require_root("net.up")
        limit = self.plan.rate_limit if rate_limit else None
        with locked(self._paths, self.name):
            dumps.check_ours(self.plan, [replica.name for replica in self.plan.here])
            apply_policy(replace(self.plan, policy=policy, rate_limit=limit))

    def status(self) -> tuple[ServiceState, ...]:
        """Probe every replica at once, each in its own namespace and root."""
        return inside.states(self.plan, self.plan.here, bare=self.bare)

    def exec(self, replica: str, command: Sequence[str]) -> int:
        """Run one of the host's commands in a replica's network, on this terminal."""
        chosen = self.plan.replica(replica).name
        dumps.check_ours(self.plan, [chosen])
        return inside.run(chosen, command)

    def logs(self, replica: str, *, lines: int) -> str:
        """Give the last lines of a replica's log. Raises: WrongUse for an unknown name."""
        last = LogSearch(lambda _record: "shown", last=lines)
        records = self.log_reader(self.plan.replica(replica).name).read(last)
        return "".join(f"{record.text}\n" for record in records)

    def stop(self, replica: str) -> None:
        """Have the supervisor end a replica. Raises: StepFailed."""
        supervisor.end_programs(self._paths, {self.plan.replica(replica).name})

    def start(self, replica: str) -> None:
        """Have the supervisor start a replica. Raises: StepFailed."""
        if replica not in self.main_pids():
            supervisor.start_program(self._paths, self.plan.replica(replica).name)

    def engine_pid(self) -> int | None:
        """Give the supervisor's process."""
        return supervisor.pid(self._paths)

    def revive(self) -> None:
        """Start the supervisor, and every process: it knows none that ran before it."""
        pending = replace(self._pending(self._built()), undeclared=())  # faults are not its own
        self._apply(pending, lambda _line: None)

    def endpoint(self, service: str, number: int = 1) -> Endpoint:
        """Give a replica's own address and port."""
        replica = self.plan.replicas_of(service)[number - 1]
        return Endpoint(str(replica.address), replica.port)

    def published(self, service: str) -> Endpoint | None:
        """Give the host's port that leads to a service."""
        published = self.plan.published_port("net", service)
        return None if published is None else Endpoint("127.0.0.1", published.port)

    def links(self) -> tuple[Link, ...]:
        """List the interfaces that are there. Raises: Missing for none, or no root; StepFailed."""
        require_root("net.links")
        return dumps.observe_links(self.plan)

    def absence(self) -> Missing:
        """Give the error of a world that is not up. Raises: Missing without root."""
        require_root("net.links")
        return dumps.absence(self.plan)

    def namespaces(self) -> dict[str, Path | None]:
        """Map the host and each namespace that carries our mark. Raises: Missing; StepFailed."""
        require_root("net.links")
        names = marks.marked_namespaces(self.plan.mark)
        return {HOST: None, **{name: netns.PINS / name for name in names}}

    def processes(self) -> tuple[Process, ...]:
        """List every process in the replicas' cgroups."""
        layout = cgroups.read_layout()
        return tuple(
            Process(pid, replica.name, " ".join(procfs.cmdline(pid)))
            for replica in self.plan.here
            for pid in cgroups.processes(self.plan.instance, replica.name, layout)
        )

    def main_pids(self) -> dict[str, int]:
        """Ask the supervisor for the process of each running replica."""
        if read_journal(self._paths).shape is None:
            return {}
        replicas = {replica.name for replica in self.plan.here}  # the log rotator is none
        programs = supervisor.observe(self._paths).processes
        return {
            program.replica: program.pid
            for program in programs
            if program.pid and program.replica in replicas
        }

    def cgroup_paths(self) -> dict[str, str]:
        """Give each replica's cgroup, as the plan names it."""
        names = [replica.name for replica in self.plan.here]
        return {name: f"/{cgroups.path_of(self.plan.instance, name)}" for name in names}

    def cpu_us(self) -> dict[str, int]:
        """Give each replica's CPU time so far in microseconds."""
        layout = cgroups.read_layout()
        names = [replica.name for replica in self.plan.here]
        return {name: cgroups.cpu_us(self.plan.instance, name, layout) for name in names}

    def supervising(self) -> tuple[int, ...]:
        """List the processes that run the world and belong to no replica."""
        pid = supervisor.pid(self._paths)
        layout = cgroups.read_layout()
        rotators = cgroups.processes(self.plan.instance, launch.ROTATOR, layout)
        return (*((pid,) if pid else ()), *rotators)

    def software(self) -> dict[str, str]:
        """Ask one replica of each role, in its own root, what it runs.

        Raises: CannotTell when one does not run.
        """
        answer: dict[str, str] = {}
        pids = self.main_pids()
        for role, replica in {each.role: each for each in reversed(self.plan.here)}.items():
            if replica.name not in pids:
                raise CannotTell(replica.name, "cannot be asked what it runs", "it does not run")
            enter = ["nsenter", "--target", str(pids[replica.name]), "--mount", "--"]
            answer |= software_answer(shell.run([*enter, *software_question(role)]).stdout)
        return answer | released_versions(self.plan.here)


def down(
    instance: str,
    *,
    progress: Progress,
    data: bool = False,
    keep_stores: bool = False,
    watch: Watch = UNWATCHED,
) -> tuple[str, ...]:
    """Take an instance's namespace world down, whatever its plan was.

    `data`: its data, logs and secrets too; `keep_stores`: of these the logs alone.
    Raises: Locked; SeveralFailed after everything else was removed.
    """
    require_root("net.down")
    with locked(InstancePaths(instance), "net"):
        removed = teardown.down(instance, watch)
        if data:
            removed = (*removed, *teardown.remove_data(instance, keep_stores=keep_stores))
        teardown.forget(instance)
    return removed


def clean(instance: str, *, progress: Progress, keep_stores: bool = False) -> tuple[str, ...]:
    """As `down`, and the data under /var/lib/twinstack/INSTANCE too. Raises: as `down`."""
    return down(instance, progress=progress, data=True, keep_stores=keep_stores)
