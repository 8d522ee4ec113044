"""Remove the Docker world of an instance by its labels alone: no plan, no file is needed.

`removals` decides the list from what carries the label (pure). A failure never keeps the rest from
going; all failures are reported at the end.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import docker
from docker.errors import APIError, NotFound

from twinstack.compose import apply_policy, engine_leftovers
from twinstack.compose.apply import remove_container, remove_network
from twinstack.compose.engine import connect, revive
from twinstack.compose.engine_paths import DEFAULT, EnginePaths
from twinstack.compose.engine_stop import restart_idle, stop_engine
from twinstack.compose.facts import OwnedDockerObjects
from twinstack.compose.failures import counts_endpoints, translate, translated
from twinstack.compose.images import remove_unless_used
from twinstack.compose.observe import observe_owned
from twinstack.compose.render import state_directory
from twinstack.errors import Missing
from twinstack.faults import drill_record, record
from twinstack.reconcile import UNWATCHED, Progress, Teardown, Watch
from twinstack.software.building import remove_tree
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import require_root

_ORDER = (
    *("faults", "container", "network", "policy", "volume", "image", "build stage", "base"),
    *("engine", "secrets", "file", "run files"),
)
#: Means to an end: removed, but not reported.
_UNREPORTED = frozenset({"build stage", "file", "run files"})


@dataclass(frozen=True, slots=True)
class OwnedObject:
    """An object of ours that is to be removed."""

    kind: str
    label: str  # its name in the engine, its path, or its id
    commands: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.kind} {self.label}: {'stop' if self.kind == 'engine' else 'remove'}"


@translated("docker.down")
def down(
    instance: str, *, progress: Progress, engine: EnginePaths = DEFAULT, watch: Watch = UNWATCHED
) -> tuple[str, ...]:
    """Remove containers and networks, data kept, and name them. Raises: Locked, SeveralFailed."""
    return _remove_all("docker.down", instance, engine, progress, watch, data=False)


@translated("docker.clean")
def clean(
    instance: str,
    *,
    progress: Progress,
    engine: EnginePaths = DEFAULT,
    watch: Watch = UNWATCHED,
    keep_stores: bool = False,
) -> tuple[str, ...]:
    """As `down`; volumes, images, secrets, and an engine of ours that holds nothing else.

    `keep_stores`: but for volumes with their secrets, and the engine that holds them.
    Raises: Locked, SeveralFailed.
    """
    return _remove_all(
        "docker.clean", instance, engine, progress, watch, data=True, keep_stores=keep_stores
    )


@translated("docker.clean", reading=True)
def removable(
    instance: str, *, engine: EnginePaths = DEFAULT, keep_stores: bool = False
) -> tuple[str, ...]:
    """Name what `clean` would remove; changes nothing: an engine that does not run stays so."""
    require_root("docker.clean")
    owned = _owned(connect(engine), instance, engine, data=True, keep_stores=keep_stores)
    todo = removals(owned)
    return tuple(f"{each.kind} {each.label}" for each in todo if each.kind not in _UNREPORTED)


def without_stores(every: OwnedDockerObjects, of_down: OwnedDockerObjects) -> OwnedDockerObjects:
    """Add the images to what `down` removes, and the engine if it holds no volume. Pure."""
    more = {"image", "build stage", "base", *(() if every.get("volume") else ("engine",))}
    return {**of_down, **{kind: labels for kind, labels in every.items() if kind in more}}


def _owned(
    client: docker.DockerClient | None,
    instance: str,
    engine: EnginePaths,
    *,
    data: bool,
    keep_stores: bool,
) -> OwnedDockerObjects:
    owned = observe_owned(client, instance, engine, data=data)
    if not keep_stores:
        return owned
    return without_stores(owned, observe_owned(client, instance, engine, data=False))


def removals(owned: OwnedDockerObjects) -> tuple[OwnedObject, ...]:
    """List what is removed, in order: the policy once nothing runs, the engine once it is empty."""
    return tuple(
        OwnedObject("image" if kind == "base" else kind, label)
        for kind in _ORDER
        for label in owned.get(kind, ())
    )


def _remove_all(
    task: str,
    instance: str,
    engine: EnginePaths,
    progress: Progress,
    watch: Watch,
    *,
    data: bool,
    keep_stores: bool = False,
) -> tuple[str, ...]:
    require_root(task)
    teardown = Teardown(watch, translate=translate, gone=(Missing, NotFound))
    try:
        with locked(InstancePaths(instance), "docker"):
            teardown.removed += drill_record.take_away(instance, "docker", engine.prefix)
            links = engine_leftovers.bridge_links(engine.prefix)
            revive(engine, progress, unrecorded=data)
            client = connect(engine)
            owned = _owned(client, instance, engine, data=data, keep_stores=keep_stores)
            for removal in removals(owned):
                if removal.kind == "engine" and teardown.failures:
                    continue  # it is still needed: what did not go is in it
                act = partial(_remove, client, instance, engine, removal, progress)
                teardown.remove(removal.name, act)
            teardown.removed += engine_leftovers.remove_links(links, engine.prefix)
            if client:
                client.close()
    except KeyboardInterrupt:
        progress(f"{task}: stopped: what is removed is gone, the rest stays; run it again")
        raise
    return teardown.finish(f"{task} {instance}")


def _remove(
    client: docker.DockerClient | None,
    instance: str,
    engine: EnginePaths,
    removal: OwnedObject,
    progress: Progress,
) -> tuple[str, ...]:
    """Remove an object and give the names that are reported."""
    if removal.kind in {"file", "secrets"}:
        remove_tree(Path(removal.label))
    elif removal.kind == "faults":
        record.repair(instance, "docker")
    elif removal.kind == "run files":
        remove_run(InstancePaths(instance), "docker")
        with suppress(OSError):  # secrets, or the other world's files, may be there
            state_directory(instance).parent.rmdir()
    elif removal.kind == "policy":
        apply_policy.remove_chains(instance, engine.prefix)
    elif removal.kind == "engine":
        if client:
            client.close()
        return stop_engine(engine, progress)
    elif client:
        try:
            _remove_from_engine(client, instance, removal)
        except APIError as error:  # a miscount, which a restart corrects
            if not (counts_endpoints(error) and restart_idle(engine, progress)):
                raise
            progress("engine: restarted: it counted what was gone on a network")
            _remove_from_engine(client, instance, removal)
        progress(f"{removal.kind} {removal.label}: removed")
    return () if removal.kind in _UNREPORTED else (f"{removal.kind} {removal.label}",)


def _remove_from_engine(client: docker.DockerClient, instance: str, removal: OwnedObject) -> None:
    match removal.kind:
        case "container":
            remove_container(client, removal.label)
        case "network":
            remove_network(client, instance, removal.label)
        case "volume":
            client.api.remove_volume(removal.label, force=True)
        case "build stage":
            remove_unless_used(client, removal.label)
        case _:
            client.images.remove(removal.label)
