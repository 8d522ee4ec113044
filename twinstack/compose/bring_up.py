"""Start a compose project and watch it until every replica is healthy, or say which is not.

Compose makes what is missing, in the order of the file, and decides nothing: what is to be
replaced was removed before (`steps`), and where nothing is missing it is not run at all.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from python_on_whales.exceptions import DockerException as ComposeFailed

from twinstack.compose.observe import project_containers
from twinstack.compose.render import container_name
from twinstack.errors import NotHealthy, StepFailed
from twinstack.linux import procfs
from twinstack.model.plan import Plan, Replica
from twinstack.reconcile import Progress
from twinstack.world import ServiceState, State

POLL_S = 0.2
_LOG_LINES = 12
_HEALTH: dict[str, State] = {"healthy": "healthy", "unhealthy": "unhealthy"}


def bring_up(
    client: docker.DockerClient,
    compose: Callable[[], None] | None,
    plan: Plan,
    timeout_s: float,
    progress: Progress,
) -> None:
    """Let compose make what is missing, if anything is, and wait for every replica's health.

    Raises: NotHealthy with the log's tail; StepFailed when compose itself fails. Ctrl-C ends
    compose too.
    """
    failure: list[ComposeFailed] = []

    def work() -> None:
        try:
            if compose:
                compose()
        except ComposeFailed as error:
            failure.append(error)

    # What compose is about to replace may be healthy still: a new process tells them apart.
    before = {state.name: state.pid for state in observe(client, plan)}
    worker = threading.Thread(target=work, name="compose up", daemon=True)
    worker.start()
    try:
        _await(client, plan, worker, before, timeout_s, failure, progress)
    except BaseException:
        _end_compose(worker)
        raise


def _await(
    client: docker.DockerClient,
    plan: Plan,
    worker: threading.Thread,
    before: Mapping[str, int | None],
    timeout_s: float,
    failure: list[ComposeFailed],
    progress: Progress,
) -> None:
    """Watch until compose has ended and all are healthy. Raises: as `bring_up`."""
    started = time.monotonic()
    told: set[str] = set()
    while True:
        done = not worker.is_alive()  # asked before looking: what is seen then is final
        states = observe(client, plan)
        now = time.monotonic()
        for state in states:
            renewed = state.pid != before[state.name]
            if state.state == "healthy" and state.name not in told and (renewed or done):
                told.add(state.name)
                how = f"healthy after {now - started:.1f} s" if renewed else "healthy, unchanged"
                progress(f"{state.name}: {how}")
        waiting = [state for state in states if state.state != "healthy"]
        if done and failure:  # of those still on their way none is to blame
            ill = [one for one in waiting if one.restarts or one.state in {"unhealthy", "stopped"}]
            raise _failed(client, plan, ill, _said(failure[0]))
        if done and not waiting:
            return
        if now - started > timeout_s:
            raise _failed(client, plan, waiting, f"not healthy within {timeout_s:g} s")
        time.sleep(POLL_S)


def observe(client: docker.DockerClient | None, plan: Plan) -> tuple[ServiceState, ...]:
    """Look at every replica of the plan; without an engine all of them are absent."""
    containers = project_containers(client, plan.instance) if client else []
    found = {one.name: one for one in containers}
    return tuple(
        state_of(plan, replica, found.get(container_name(plan, replica)))
        for replica in plan.replicas
    )


def state_of(plan: Plan, replica: Replica, container: Any | None) -> ServiceState:
    """Give a replica's row from its container, None for none."""
    state: State = "absent"
    detail, pid, restarts = "", None, 0
    if container is not None:
        seen = container.attrs["State"]
        health = seen.get("Health") or {}
        restarts = int(container.attrs.get("RestartCount", 0))
        pid = int(seen["Pid"]) or None
        if seen["Status"] == "created":  # compose holds it back until its stores are healthy
            detail = "not started yet"
        elif not seen["Running"] or seen.get("Restarting"):
            state = "stopped"
            detail = f"exited with {seen['ExitCode']}" + (seen["Error"] and f": {seen['Error']}")
        else:
            state = _HEALTH.get(health.get("Status", ""), "starting")
            last = (health.get("Log") or [{}])[-1]
            if state == "unhealthy":
                detail = str(last.get("Output", "")).strip() or "its health check fails"
    return ServiceState(
        name=replica.name,
        service=replica.service,
        where=container_name(plan, replica),
        address=str(replica.docker_address),
        port=replica.port,
        state=state,
        detail=detail,
        pid=pid,
        restarts=restarts,
    )


def _failed(
    client: docker.DockerClient, plan: Plan, waiting: list[ServiceState], cause: str
) -> Exception:
    """Name the first service that is in the way, with the last lines of its log."""
    # What needs a store is ill when the store is, or was never started: not its fault.
    stores = {one.name for one in plan.replicas if one.runtime in {"redis", "postgres"}}
    rank = {"unhealthy": 0, "stopped": 1, "starting": 2}
    blamed = sorted(
        waiting,
        key=lambda one: (
            one.state == "absent",
            one.name not in stores,
            rank.get(one.state, 3),
            -one.restarts,
        ),
    )
    if not blamed or blamed[0].state == "absent":
        return _step_failed("up", cause)
    first = blamed[0]
    tail = _tail(client, first.where)
    return NotHealthy(
        first.name,
        f"is {first.state}" + (f" ({first.detail})" if first.detail else ""),
        f"{cause[-300:]}; its log ends: {tail}" if tail else cause[-300:],
        f"invoke docker.logs {first.name}",
    )


def compose_failed(verb: str, error: ComposeFailed) -> StepFailed:
    """Say what compose said when it could not do a verb of its own."""
    return _step_failed(verb, _said(error))


def _step_failed(verb: str, cause: str) -> StepFailed:
    return StepFailed(f"docker compose {verb}", "failed", cause[-600:], "invoke docker.status")


def _said(error: ComposeFailed) -> str:
    return str(error.stderr or error)


def _tail(client: docker.DockerClient, container: str) -> str:
    try:
        text = client.containers.get(container).logs(tail=_LOG_LINES).decode(errors="replace")
    except DockerException:
        return ""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())


def _end_compose(worker: threading.Thread) -> None:
    """End the compose program that our own thread still waits for."""
    if not worker.is_alive():
        return
    for task in Path("/proc/self/task").iterdir():
        for word in (task / "children").read_text().split():
            if {"compose", "up"} <= set(procfs.cmdline(int(word))):
                os.kill(int(word), signal.SIGTERM)
    worker.join(timeout=5)
