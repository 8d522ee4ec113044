"""Take the Docker world of an instance away, by its labels alone: no plan, no file is needed."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from functools import partial

import docker

from twinstack.compose.bring_up import project_containers
from twinstack.compose.engine import (
    DEFAULT,
    EnginePlace,
    connect,
    require_root,
    revive,
    stop_engine,
)
from twinstack.compose.failures import attempt, told
from twinstack.compose.images import remove_images
from twinstack.compose.render import INSTANCE_LABEL, state_directory
from twinstack.errors import SeveralFailed
from twinstack.software.building import remove_tree
from twinstack.state import Places, locked, remove_run
from twinstack.world import Progress

STOP_TIMEOUT_S = 10


@told("docker.down")
def down(instance: str, *, progress: Progress, place: EnginePlace = DEFAULT) -> tuple[str, ...]:
    """Remove containers and networks, data kept, and name them; goes on past failures.

    Raises: Locked, SeveralFailed.
    """
    require_root(f"Docker world {instance}", "it keeps secrets and a lock")
    with locked(Places(instance), "docker"):
        revive(place, progress)
        removed, failures = _down(instance, progress, place)
    remove_run(Places(instance), "docker")
    if failures:
        raise _one(f"docker.down {instance}", failures)
    return tuple(removed)


@told("docker.clean")
def clean(instance: str, *, progress: Progress, place: EnginePlace = DEFAULT) -> tuple[str, ...]:
    """As `down`; volumes, images, secrets, and an engine that we started and nobody else uses.

    Raises: Locked, SeveralFailed.
    """
    require_root(f"Docker world {instance}", "it keeps secrets and a lock")
    with locked(Places(instance), "docker"):
        revive(place, progress, unrecorded=True)
        removed, failures = _down(instance, progress, place)
        client = connect(place)
        if client:
            for volume in client.volumes.list(filters={"label": f"{INSTANCE_LABEL}={instance}"}):
                name = f"volume {volume.name}"
                if attempt(failures, name, partial(volume.remove, force=True)):
                    removed.append(name)
            removed += remove_images(client, instance, failures)
            client.close()
        if not failures:
            attempt(failures, "engine", lambda: removed.extend(stop_engine(place, progress)))
        directory = state_directory(instance)
        if remove_tree(directory):
            removed.append(f"secrets {directory}")
        with suppress(OSError):  # the other world may keep its own things there
            directory.parent.rmdir()
    remove_run(Places(instance), "docker")
    if failures:
        raise _one(f"docker.clean {instance}", failures)
    return tuple(removed)


def remove_networks(
    client: docker.DockerClient,
    instance: str,
    failures: list[Exception],
    keep: Collection[str] = (),
) -> list[str]:
    """Remove an instance's networks but those to keep: another shape's are left after a change."""
    removed: list[str] = []
    for network in client.networks.list(filters={"label": f"{INSTANCE_LABEL}={instance}"}):
        name = f"network {network.name}"
        if network.name not in keep and attempt(failures, name, network.remove):
            removed.append(name)
    return removed


def _down(
    instance: str, progress: Progress, place: EnginePlace
) -> tuple[list[str], list[Exception]]:
    removed: list[str] = []
    failures: list[Exception] = []
    client = connect(place)
    if client is None:
        return removed, failures
    for container in project_containers(client, instance):
        name = f"container {container.name}"
        attempt(failures, name, partial(container.stop, timeout=STOP_TIMEOUT_S))
        if attempt(failures, name, partial(container.remove, force=True, v=True)):
            removed.append(name)
            progress(f"{name}: removed")
    removed += remove_networks(client, instance, failures)
    client.close()
    return removed, failures


def _one(obj: str, failures: list[Exception]) -> Exception:
    return failures[0] if len(failures) == 1 else SeveralFailed(obj, failures)
