"""Work on several machines at once: a result or a failure of each, named by its machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from twinstack.errors import NotHealthy, StepFailed, TwinstackError, raise_all
from twinstack.overlay import hosts, ssh
from twinstack.overlay.bundles import BUNDLES, code_bundle
from twinstack.overlay.protocol import REQUEST, AgentRequest, errors_from_json
from twinstack.overlay.ssh import Machine
from twinstack.overlay.upload import PYTHON
from twinstack.reconcile import Progress

Result = TypeVar("Result")


class Stopped(TwinstackError):
    """A machine was stopped because another one failed."""


def ask_agent(
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
        stopped = Stopped(obj, "was stopped", "another machine failed")
        progress(str(stopped))
        raise stopped
    raise_failures(errors_from_json(machine.name, reply.get("errors", ())))
    return reply["result"]


def raise_failures(failures: Iterable[TwinstackError]) -> None:
    """Raise the one failure, or all of them as one; do nothing without any.

    Machines that were stopped are left out where another one failed.
    """
    flat = [inner for failure in failures for inner in getattr(failure, "failures", (failure,))]
    causes = [failure for failure in flat if not isinstance(failure, Stopped)] or flat
    raise_all("machines", causes)


def each(
    machines: Sequence[Machine], work: Callable[[Machine], Result], stop: threading.Event
) -> tuple[dict[str, Result], dict[str, TwinstackError]]:
    """Work on every machine at once, and give the results and the failures by machine.

    `stop` is set when one fails by more than an unhealthy service, and when we are interrupted.
    """
    failures: dict[str, TwinstackError] = {}

    def attempt(machine: Machine) -> tuple[str, Result] | None:
        try:
            return machine.name, work(machine)
        except TwinstackError as error:
            causes = getattr(error, "failures", (error,))
            if not all(isinstance(cause, NotHealthy) for cause in causes):
                stop.set()
            failures[machine.name] = error
            return None

    with ThreadPoolExecutor(max_workers=max(1, len(machines))) as pool:
        try:
            return dict(filter(None, pool.map(attempt, machines))), failures
        except BaseException:
            stop.set()  # and the pool waits until all have stopped
            raise


def results(
    machines: Sequence[Machine],
    work: Callable[[Machine], Result],
    stop: threading.Event | None = None,
) -> dict[str, Result]:
    """Work on every machine at once. Raises: the one failure, or SeveralFailed."""
    found, failures = each(machines, work, stop or threading.Event())
    raise_failures(failures.values())
    return found
