"""The stack on machines that ssh reaches: the same steps, taken by the same code, over there.

Each machine gets the topology and takes its share of the plan, as a simulated host does (`agent`).
What it needs is uploaded first (`bundles`, `upload`): the code, and the software of its replicas.
Passwords are made and kept here; a machine gets those of its own replicas.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any

from twinstack.confinement import seccomp
from twinstack.errors import StepFailed, TwinstackError
from twinstack.model.plan import Plan, Replica
from twinstack.namespaces import teardown
from twinstack.overlay import flooding, hosts, record, ssh
from twinstack.overlay.bundles import BUNDLES, Bundle, code_bundle, software_bundles
from twinstack.overlay.host_plans import Spread, host_instance, machines_instance
from twinstack.overlay.protocol import (
    LISTENING,
    REQUEST,
    TRAFFIC,
    VERDICT,
    AgentAction,
    AgentRequest,
    errors_from_json,
    preview_from_json,
)
from twinstack.overlay.record import OverlayOptions
from twinstack.overlay.ssh import Machine
from twinstack.overlay.upload import PYTHON, packing, remove_bundles, survey, upload
from twinstack.policy.verdict import PolicyVerdict
from twinstack.reconcile import Preview, Progress
from twinstack.software.roots import Roots
from twinstack.software.secrets import ensure_secrets, secrets_of
from twinstack.software.wheels import Software as Installed
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import LogRecord, LogSearch, ServiceState, require_root

Built = tuple[Roots, Installed]
_LOCK = "overlay"
#: Of each log that lines are looked for in: a machine sends them all.
MOST_LINES = 10_000
_READ_S = 120.0
#: For the steps, beside the time until services are healthy.
_STEPS_S = 300.0


@dataclass(frozen=True, slots=True)
class RemoteLog:
    """The end of a log on a machine, which is asked for once."""

    ask: Callable[..., str]  # for the last `lines`

    def read(self, search: LogSearch) -> Iterator[LogRecord]:
        """Give the last lines, or those among which lines are looked for."""
        all_shown = search.last is not None and not search.filtered
        text = self.ask(lines=search.last if all_shown else MOST_LINES)
        return (LogRecord(line) for line in text.removesuffix("\n").split("\n") if text)

    def follow(self) -> Iterator[LogRecord]:
        """Give nothing: a machine answers once."""
        return iter(())


@dataclass(frozen=True)
class Remote:
    """One plan on several machines."""

    plan: Plan
    spread: Spread
    topology: str  # the file's text
    declared: Sequence[Machine]
    provide: Callable[[Progress], Built]  # gives the software, building what is absent
    find: Callable[[], Built | None]  # gives it if it is built
    bare: bool = False  # networks alone

    @property
    def machines(self) -> tuple[Machine, ...]:
        """Give the machines that are not lost."""
        lost = self.spread.lost
        return tuple(machine for machine in self.declared if machine.name not in lost)

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring the plan about on every machine, and wait until every service is healthy.

        Nothing is changed unless all can be reached. When one fails, the others stop waiting, and
        a machine that had nothing of ours undoes its share. Raises: StepFailed, NotHealthy,
        SeveralFailed, each named by its machine; Locked.
        """
        require_root("overlay.up")
        paths = InstancePaths(machines_instance(self.plan.instance))
        with locked(paths, _LOCK):
            present = ssh.results(self.machines, survey)
            built = None if self.bare else self.provide(progress)
            secrets = paths.secrets
            if not self.bare:
                ensure_secrets(secrets, self.plan)
            options = OverlayOptions.of(self.plan, self.spread, bare=self.bare)
            record.write(self.plan.instance, options, ssh=True)
            bundles = {machine.name: self._bundles(machine, built) for machine in self.machines}
            with packing() as open_packed:

                def send(machine: Machine) -> None:
                    parts = (code_bundle(), *bundles[machine.name].values())
                    upload(machine, parts, present[machine.name], open_packed, progress)

                ssh.results(self.machines, send)
            # Machines wait for each other's services, so one failure stops them all.
            stop = threading.Event()

            def work(machine: Machine) -> Any:
                own = () if self.bare else self._replicas(machine)
                given = {"secrets": secrets_of(secrets, own), "timeout_s": timeout_s}
                request = self._request("up", machine, bundles[machine.name], **given)
                return _ask_agent(machine, request, progress, stop, timeout_s + _STEPS_S)

            states = ssh.results(self.machines, work, stop)
        return self._states(states)

    def status(self) -> tuple[ServiceState, ...]:
        """Ask each machine for its services' states."""
        return self.inspect()[0]

    def inspect(
        self,
    ) -> tuple[tuple[ServiceState, ...], dict[str, Preview], dict[str, TwinstackError]]:
        """Ask each machine for its services' states, and for what differs there.

        Gives the machines that could not be asked, and why, as well.
        """
        results, unreached = self._ask("status")
        previews = {host: preview_from_json(result["preview"]) for host, result in results.items()}
        states = self._states({host: result["services"] for host, result in results.items()})
        return states, previews, unreached

    def preview(self) -> Preview:
        """List what `up` would do, everywhere. Raises: as `previews`."""
        return hosts.merged_preview(self.previews(lambda _line: None))

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        """Remove everything of ours from every machine. Raises: as the function."""
        removed = down(self.plan.instance, self.machines, progress)
        return tuple(f"{host}: {name}" for host, names in removed.items() for name in names)

    def previews(self, progress: Progress) -> dict[str, Preview]:
        """List what `up` would do on each machine; leaves no code where there was none."""
        results, failures = self._ask("plan", progress)
        ssh.raise_failures(failures.values())
        return {host: preview_from_json(result) for host, result in results.items()}

    def logs(self, replica: str, *, lines: int) -> str:
        """Give the end of a replica's log. Raises: TwinstackError for an unknown name."""
        name = self.plan.replica(replica).name
        where = self.spread.where[name]
        machines = [machine for machine in self.machines if machine.name == where]
        results, failures = self._ask("logs", machines=machines, replica=name, lines=lines)
        ssh.raise_failures(failures.values())
        return str(results[where])

    def verify(self) -> dict[str, PolicyVerdict]:
        """Let each machine ask the cells of its own sources while all of them listen.

        Raises: StepFailed, or as the machines report: one that cannot listen to the end, too.
        """
        with self._listening():
            results, failures = self._ask("verify", stop=threading.Event())
        ssh.raise_failures(failures.values())
        return {host: VERDICT.validate_python(result) for host, result in results.items()}

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Let every machine listen while the block lasts. Raises: as `verify`."""
        stop, heard = threading.Event(), SimpleQueue[bool]()

        def hear(line: str) -> None:
            if line.endswith(f": {LISTENING}"):
                heard.put(True)

        def listen() -> Iterable[TwinstackError]:
            try:
                # Longer than they wait for each other, and then for answers.
                return self._ask("listen", hear, stop=stop, timeout_s=3 * _READ_S)[1].values()
            finally:
                heard.put(False)

        with ThreadPoolExecutor(max_workers=1) as pool:
            ending = pool.submit(listen)
            try:
                if all_listen := all(heard.get() for _ in self.machines):
                    yield
            finally:
                stop.set()
                failures = ending.result()
        # Where one ended too early, silence would have passed for "denied".
        early = [each for each in failures if not all_listen or not isinstance(each, ssh.Stopped)]
        ssh.raise_failures(early)

    def watch(self, seconds: float, progress: Progress) -> flooding.UnderlayTraffic:
        """Let each machine watch what it sends, and add it up. Raises: as the machines report."""
        results, failures = self._ask(
            "watch",
            progress,
            stop=threading.Event(),
            timeout_s=seconds + _READ_S,
            seconds=seconds,
        )
        ssh.raise_failures(failures.values())
        return flooding.merged(map(TRAFFIC.validate_python, results.values()))

    def exec(self, host: str, command: Sequence[str], *, terminal: bool) -> int:
        """Run a command on a machine, attached to our input and outputs; give its exit code.

        Raises: WrongUse for an unknown name; StepFailed when it cannot be reached.
        """
        name = self.spread.host(host).name
        (machine,) = (machine for machine in self.declared if machine.name == name)
        return ssh.attached(machine, command, terminal=terminal)

    def log_names(self) -> tuple[str, ...]:
        """Name all replicas: each machine knows its own."""
        return tuple(replica.name for replica in self.plan.replicas)

    def log_reader(self, replica: str) -> RemoteLog:
        """Give what asks a replica's machine for its log."""
        return RemoteLog(partial(self.logs, replica))

    def _ask(
        self,
        action: AgentAction,
        progress: Progress = lambda _line: None,
        *,
        machines: Sequence[Machine] = (),
        stop: threading.Event | None = None,
        timeout_s: float = _READ_S,
        **options: Any,
    ) -> tuple[dict[str, Any], dict[str, TwinstackError]]:
        """Give the results of those machines that could be asked, and the others' failures.

        `stop`, if given, stops all of them; one that fails sets it, and so does Ctrl-C.
        """
        built = None if self.bare else self.find()

        def work(machine: Machine) -> Any:
            request = self._request(action, machine, self._bundles(machine, built), **options)
            return _ask_once(machine, request, progress, timeout_s, stop)

        code_bundle()  # once, before the threads
        return ssh.each(machines or self.machines, work, stop or threading.Event())

    def _replicas(self, machine: Machine) -> list[Replica]:
        where = self.spread.where
        return [replica for replica in self.plan.replicas if where[replica.name] == machine.name]

    def _bundles(self, machine: Machine, built: Built | None) -> dict[str, Bundle]:
        roles = {replica.role for replica in self._replicas(machine)}
        return software_bundles(roles, *built) if built else {}

    def _request(
        self, action: AgentAction, machine: Machine, software: dict[str, Bundle], **given: Any
    ) -> AgentRequest:
        return AgentRequest(
            action,
            machine.name,
            self.plan.instance,
            topology=self.topology,
            options=OverlayOptions.of(self.plan, self.spread, bare=self.bare),
            software={part: bundle.name for part, bundle in software.items()} or None,
            seccomp=asdict(seccomp.compiled()) if software else None,
            **given,
        )

    def _states(self, written: Mapping[str, list[dict[str, Any]]]) -> tuple[ServiceState, ...]:
        states = {host: [ServiceState(**state) for state in of] for host, of in written.items()}
        return hosts.merged_states(self.plan, self.spread, states, "its machine did not answer")


def _ask_agent(
    machine: Machine,
    request: AgentRequest,
    progress: Progress,
    stop: threading.Event,
    timeout_s: float,
) -> Any:
    """Send a request to the agent that was uploaded to a machine, and give its result.

    Raises: StepFailed when the machine cannot be reached; Stopped; what the agent reports.
    """
    environment = f"PATH=$PATH:/usr/sbin:/sbin PYTHONPATH={BUNDLES / code_bundle().name}"
    command = f"cd / && {environment} exec {PYTHON} -m twinstack.overlay.agent"
    payload = REQUEST.dump_json(request)
    shown = hosts.prefixed(progress, machine.name)
    line = ssh.request(machine, command, payload, shown, stop, timeout_s=timeout_s)
    obj = f"host {machine.name}"
    try:
        reply = json.loads(line)
    except ValueError as error:
        raise StepFailed(obj, "does not answer", line[-300:]) from error
    if "interrupted" in reply:
        stopped = ssh.Stopped(obj, "was stopped", "another machine failed")
        progress(str(stopped))
        raise stopped
    ssh.raise_failures(errors_from_json(machine.name, reply.get("errors", ())))
    return reply["result"]


def _ask_once(
    machine: Machine,
    request: AgentRequest,
    progress: Progress,
    timeout_s: float,
    stop: threading.Event | None = None,
) -> Any:
    """Ask a machine's agent; where nothing of ours is, its code is there for this one request."""
    present = survey(machine)
    with packing() as open_packed:
        upload(machine, [code_bundle()], present, open_packed, progress)
    try:
        return _ask_agent(machine, request, progress, stop or threading.Event(), timeout_s)
    finally:
        if not present:
            remove_bundles(machine, host_instance(request.instance, machine.name))


def down(instance: str, machines: Sequence[Machine], progress: Progress) -> dict[str, list[str]]:
    """Remove everything of ours from every machine: data, software and code too.

    What is kept here goes once all are done. Raises: the one failure, or SeveralFailed, after all
    the others were cleared; Locked.
    """
    require_root("overlay.down")
    paths = InstancePaths(machines_instance(instance))

    def work(machine: Machine) -> list[str]:
        request = AgentRequest("down", machine.name, instance)
        removed: list[str] = _ask_once(machine, request, progress, _STEPS_S)
        remove_bundles(machine, host_instance(instance, machine.name))
        return removed

    with locked(paths, _LOCK):
        code_bundle()  # once, before the threads
        removed = ssh.results(machines, work)
        teardown.remove_data(paths.instance)
        remove_run(paths, _LOCK)
    return removed
