"""Start a compose project and watch it until every replica is healthy, or say which is not.

Compose creates what is missing and replaces nothing: what is to be replaced was removed before
(`steps`). Where nothing is missing it does not run at all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext

import docker
from docker.errors import DockerException

from twinstack.compose.client import ComposeProject, compose_failed
from twinstack.compose.observe import states
from twinstack.errors import NotHealthy, TwinstackError
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.world import ServiceState

POLL_S = 0.2
_LOG_LINES = 12
_CAUSE_CHARACTERS = 300
#: Which of several replicas is named first; an absent one never.
_BLAME = {"unhealthy": 0, "stopped": 1, "starting": 2}


def bring_up(
    client: docker.DockerClient,
    project: ComposeProject | None,
    plan: Plan,
    timeout_s: float,
    progress: Progress,
    only: Mapping[str, int | None] | None = None,
) -> None:
    """Let Compose start what is missing, if anything is, and wait until every replica is healthy.

    `only`: wait for these replicas alone, which had these main processes before.

    Raises: NotHealthy with the log's tail; StepFailed when Compose itself fails. Ctrl-C ends
    Compose too.
    """
    # What is about to be replaced may still be healthy: a new process tells them apart.
    replicas = tuple(each for each in plan.replicas if only is None or each.name in only)
    before = only or {state.name: state.pid for state in states(client, plan, replicas)}
    started = time.monotonic()
    reported: set[str] = set()
    with project.up() if project else nullcontext() as run:
        while True:
            done = run is None or run.ended  # before looking: what is seen then is final
            current = states(client, plan, replicas)
            elapsed_s = time.monotonic() - started
            for state in current:
                renewed = state.pid != before[state.name]
                if state.state == "healthy" and state.name not in reported and (renewed or done):
                    reported.add(state.name)
                    how = f"healthy after {elapsed_s:.1f} s" if renewed else "healthy, unchanged"
                    progress(f"{state.name}: {how}")
            waiting = [state for state in current if state.state != "healthy"]
            if done and run and run.failure:  # what is still starting is not to blame
                failed = ("unhealthy", "stopped")
                suspects = [state for state in waiting if state.restarts or state.state in failed]
                raise _failed(client, plan, suspects, run.failure)
            if done and not waiting:
                return
            if elapsed_s > timeout_s:
                raise _failed(client, plan, waiting, f"not healthy within {timeout_s:g} s")
            time.sleep(POLL_S)


def _failed(
    client: docker.DockerClient, plan: Plan, waiting: list[ServiceState], cause: str
) -> TwinstackError:
    """Name the first service that is in the way, with the last lines of its log."""
    # What needs a store fails with it, or is never started: the store is the one to name.
    stores = {replica.name for replica in plan.replicas if replica.is_store}
    present = [state for state in waiting if state.state != "absent"]
    if not present:
        return compose_failed("up", cause)
    first = min(
        present,
        key=lambda state: (state.name not in stores, _BLAME[state.state], -state.restarts),
    )
    cause, tail = cause[-_CAUSE_CHARACTERS:], _log_tail(client, first.where)
    return NotHealthy(
        first.name,
        f"is {first.state}" + (f" ({first.detail})" if first.detail else ""),
        f"{cause}; its log ends: {tail}" if tail else cause,
        f"invoke docker.logs {first.name}",
    )


def _log_tail(client: docker.DockerClient, container: str) -> str:
    try:
        text = client.containers.get(container).logs(tail=_LOG_LINES).decode(errors="replace")
    except DockerException:
        return ""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
