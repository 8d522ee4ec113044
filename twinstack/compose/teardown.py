"""Take the Docker world of an instance away, by its labels alone: no plan, no file is needed.

`removals` decides the list from what is there; each step of it is taken whatever became of those
before, and all failures are reported at the end.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import docker

from twinstack.compose import apply_policy, engine_leftovers
from twinstack.compose.apply import remove_container, remove_network
from twinstack.compose.engine import (
    DEFAULT,
    EnginePaths,
    connect,
    require_root,
    revive,
    stop_engine,
)
from twinstack.compose.failures import translated
from twinstack.compose.images import remove_stage
from twinstack.compose.observe import observe_holding
from twinstack.compose.removals import clean_steps, down_steps
from twinstack.compose.removals import told as told_of
from twinstack.compose.render import state_directory
from twinstack.compose.steps import Step
from twinstack.compose.taking import removing
from twinstack.errors import SeveralFailed
from twinstack.reconcile import UNWATCHED, Progress, Watch
from twinstack.software.building import remove_tree
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths


@translated("docker.down")
def down(
    instance: str, *, progress: Progress, engine: EnginePaths = DEFAULT, watch: Watch = UNWATCHED
) -> tuple[str, ...]:
    """Remove containers and networks, data kept, and name them; goes on past failures.

    Raises: Locked, SeveralFailed.
    """
    return _remove("docker.down", instance, engine, progress, watch, data=False)


@translated("docker.clean")
def clean(
    instance: str, *, progress: Progress, engine: EnginePaths = DEFAULT, watch: Watch = UNWATCHED
) -> tuple[str, ...]:
    """As `down`; volumes, images, secrets, and an engine that we started and nobody else uses.

    Raises: Locked, SeveralFailed.
    """
    return _remove("docker.clean", instance, engine, progress, watch, data=True)


def _remove(
    task: str, instance: str, engine: EnginePaths, progress: Progress, watch: Watch, *, data: bool
) -> tuple[str, ...]:
    require_root(f"Docker world {instance}", "it keeps secrets and a lock")
    removed: list[str] = []
    failures: list[Exception] = []
    try:
        with locked(InstancePaths(instance), "docker"):
            ports = engine_leftovers.ports(engine.prefix)
            revive(engine, progress, unrecorded=data)
            client = connect(engine)
            holding = observe_holding(client, instance, engine, data=data)
            for step in clean_steps(holding) if data else down_steps(holding):
                if step.kind == "engine" and failures:
                    continue  # it is still needed: what did not go is in it
                take = partial(_take, client, instance, engine, step, progress)
                removed += removing(watch, step, failures, take)
            removed += engine_leftovers.remove_ports(ports, engine.prefix)
            if client:
                client.close()
    except KeyboardInterrupt:
        progress(f"{task}: stopped: what is removed is gone, the rest stays; run it again")
        raise
    if failures:
        obj = f"{task} {instance}"
        raise failures[0] if len(failures) == 1 else SeveralFailed(obj, failures)
    return tuple(removed)


def _take(
    client: docker.DockerClient | None,
    instance: str,
    engine: EnginePaths,
    step: Step,
    progress: Progress,
) -> tuple[str, ...]:
    """Take a step and name what it removed."""
    if step.kind in {"file", "secrets"}:
        remove_tree(Path(step.name))
    elif step.kind == "run files":
        remove_run(InstancePaths(instance), "docker")
        with suppress(OSError):  # secrets, or the other world's own things, may be there
            state_directory(instance).parent.rmdir()
    elif step.kind == "policy":
        apply_policy.lift(instance, engine.prefix)
    elif step.kind == "engine":
        if client:
            client.close()
        return stop_engine(engine, progress)
    elif client:
        _take_from_engine(client, instance, step)
        progress(f"{step.kind} {step.name}: removed")
    name = told_of(step)
    return (name,) if name else ()


def _take_from_engine(client: docker.DockerClient, instance: str, step: Step) -> None:
    if step.kind == "container":
        remove_container(client, step.name)
    elif step.kind == "network":
        remove_network(client, instance, step.name)
    elif step.kind == "volume":
        client.api.remove_volume(step.name, force=True)
    elif step.kind == "build stage":
        remove_stage(client, step.name)
    else:
        client.images.remove(step.name)
