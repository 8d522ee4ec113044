"""Take the Docker world of an instance away, by its labels alone: no plan, no file is needed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

import docker
from docker.errors import APIError, NotFound

from twinstack.compose.bring_up import project_containers
from twinstack.compose.engine import (
    DEFAULT,
    EnginePlace,
    connect,
    require_root,
    revive,
    stop_engine,
)
from twinstack.compose.images import remove_images
from twinstack.compose.render import INSTANCE_LABEL, state_directory
from twinstack.errors import SeveralFailed
from twinstack.software.building import remove_tree
from twinstack.state import Places, locked, remove_run
from twinstack.world import Progress

STOP_TIMEOUT_S = 10


def down(instance: str, *, progress: Progress, place: EnginePlace = DEFAULT) -> tuple[str, ...]:
    """Remove containers and networks, data kept, and name them; goes on past failures.

    Raises: Locked, SeveralFailed.
    """
    require_root(f"Docker world {instance}", "it keeps secrets and a lock")
    with locked(Places(instance), "docker"):
        removed, failures = _down(instance, progress, place)
    remove_run(Places(instance), "docker")
    if failures:
        raise SeveralFailed(f"docker.down {instance}", failures)
    return tuple(removed)


def clean(instance: str, *, progress: Progress, place: EnginePlace = DEFAULT) -> tuple[str, ...]:
    """As `down`; volumes, images, secrets, and an engine that we started and nobody else uses.

    Raises: Locked, SeveralFailed.
    """
    require_root(f"Docker world {instance}", "it keeps secrets and a lock")
    with locked(Places(instance), "docker"):
        removed, failures = _down(instance, progress, place)
        client = connect(place)
        if client:
            for volume in client.volumes.list(filters={"label": f"{INSTANCE_LABEL}={instance}"}):
                if _attempt(failures, partial(volume.remove, force=True)):
                    removed.append(f"volume {volume.name}")
            removed += remove_images(client, instance)
            client.close()
        if not failures:
            removed += stop_engine(place, progress)
        directory = state_directory(instance)
        if remove_tree(directory):
            removed.append(f"secrets {directory}")
        with suppress(OSError):  # the other world may keep its own things there
            directory.parent.rmdir()
    remove_run(Places(instance), "docker")
    if failures:
        raise SeveralFailed(f"docker.clean {instance}", failures)
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
        if network.name not in keep and _attempt(failures, network.remove):
            removed.append(f"network {network.name}")
    return removed


def _down(
    instance: str, progress: Progress, place: EnginePlace
) -> tuple[list[str], list[Exception]]:
    removed: list[str] = []
    failures: list[Exception] = []
    revive(place, progress)
    client = connect(place)
    if client is None:
        return removed, failures
    for container in project_containers(client, instance):
        _attempt(failures, partial(container.stop, timeout=STOP_TIMEOUT_S))
        if _attempt(failures, partial(container.remove, force=True)):
            removed.append(f"container {container.name}")
            progress(f"container {container.name}: removed")
    removed += remove_networks(client, instance, failures)
    client.close()
    return removed, failures


def _attempt(failures: list[Exception], act: Callable[[], object]) -> bool:
    """Go on past a failure and keep it; what is gone already is no failure."""
    try:
        act()
    except NotFound:
        return False
    except APIError as error:
        failures.append(error)
        return False
    return True
