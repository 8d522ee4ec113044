"""What an engine of ours holds that is not ours: its data go only when there is nothing.

Our engine is at the usual socket, so anyone's `docker build`, `pull` and `volume create` end up in
it too. `foreign_objects` asks the engine; `foreign_objects_at` and `is_bare` read its directory
when no engine can be asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import docker

from twinstack.compose.render import BASE_PREFIX, INSTANCE_LABEL, KIND_LABEL

#: The tag for a declared base that we pulled.
PULLED_TAG = "pulled"
_INSTANCE_TAG = re.compile(r"twinstack-[a-z][a-z0-9-]*/")
_VOLUME = re.compile(r"twinstack-[a-z][a-z0-9-]*-data")


def foreign_objects(client: docker.DockerClient) -> tuple[str, ...]:
    """Name what the engine holds that is not ours to remove with it.

    Call when an instance's objects are gone: a container or volume that is left, of another
    instance too, is somebody's data. An image without a name is ours when it has our label,
    inherited or not.
    """
    names = [f"container {container.name}" for container in client.containers.list(all=True)]
    names += [f"volume {volume.name}" for volume in client.volumes.list()]
    for image in client.images.list():
        names += [
            f"image {name}" for name in foreign_names(str(image.id), image.tags, image.labels)
        ]
    return tuple(sorted(names))


def foreign_names(identity: str, tags: Iterable[str], labels: Mapping[str, str]) -> tuple[str, ...]:
    """Give the names that make an image foreign; none for one of ours.

    Labels are inherited by what is built from ours, so they prove nothing for an image with a
    name: that must be ours as well.
    """
    names = tuple(tags)
    if any(_is_pulled(tag) for tag in names):
        return ()
    if KIND_LABEL in labels:
        return tuple(tag for tag in names if not is_our_tag(tag))
    return names or (identity,)


def is_our_tag(tag: str) -> bool:
    """Say whether a tag is of the form that only we give: an instance's image, or a base."""
    return tag.startswith(BASE_PREFIX) or bool(_INSTANCE_TAG.match(tag))


def is_bare(data_root: Path) -> bool:
    """Say whether an engine's directory certainly holds no container, volume or image."""
    patterns = (
        "containers/*",
        "volumes/*/_data",
        "image/*/imagedb/content/sha256/*",
        "containerd/daemon/io.containerd.content.v1.content/blobs/*/*",
    )
    return not any(next(data_root.glob(pattern), None) for pattern in patterns)


def foreign_objects_at(data_root: Path) -> tuple[str, ...]:
    """Name what an engine's directory holds that is not ours, read without an engine.

    The containerd store lists no images that can be read so: they can be downloaded again.
    """
    names = set()
    for directory in data_root.glob("containers/*"):
        config = _json(directory / "config.v2.json")
        if INSTANCE_LABEL not in ((config.get("Config") or {}).get("Labels") or {}):
            name = str(config.get("Name") or directory.name)
            names.add(f"container {name.removeprefix('/')}")
    for data in data_root.glob("volumes/*/_data"):
        if not _VOLUME.fullmatch(data.parent.name):
            names.add(f"volume {data.parent.name}")
    for file in data_root.glob("image/*/repositories.json"):
        tags: dict[str, list[str]] = {}  # by image
        for repository in (_json(file).get("Repositories") or {}).values():
            for tag, image in repository.items():
                tags.setdefault(image, []).extend([] if "@" in tag else [tag])
        for image, given in tags.items():
            names |= {f"image {tag}" for tag in foreign_names(image, given, {KIND_LABEL: ""})}
    return tuple(sorted(names))


def _is_pulled(tag: str) -> bool:
    return tag.startswith(BASE_PREFIX) and tag.endswith(f":{PULLED_TAG}")


def _json(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return {}
