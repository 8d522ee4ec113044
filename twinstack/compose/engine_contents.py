"""What an engine of ours holds that is not ours: its data goes only when there is nothing.

Our engine sits at the usual socket, so a stranger's `docker build`, `pull` and `volume create`
land in it too. `others` asks the engine; `others_at` and `is_bare` read its directory when no
engine can be asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import docker

from twinstack.compose.render import BASE_PREFIX, INSTANCE_LABEL, KIND_LABEL

#: Stands beside the name of a base that we pulled because it was declared and not there.
PULLED_TAG = "pulled"
_INSTANCE_TAG = re.compile(r"twinstack-[a-z][a-z0-9-]*/")
_VOLUME = re.compile(r"twinstack-[a-z][a-z0-9-]*-data")


def others(client: docker.DockerClient) -> tuple[str, ...]:
    """Name what the engine holds that is not ours to remove with it.

    Call when an instance's own things are gone: a container or volume that is left then, of
    another instance too, is somebody's data. An image without a name counts as ours when it has
    our label, inherited or not.
    """
    found = [f"container {one.name}" for one in client.containers.list(all=True)]
    found += [f"volume {one.name}" for one in client.volumes.list()]
    for image in client.images.list():
        found += [
            f"image {name}" for name in foreign_names(str(image.id), image.tags, image.labels)
        ]
    return tuple(sorted(found))


def foreign_names(identity: str, tags: Iterable[str], labels: Mapping[str, str]) -> tuple[str, ...]:
    """Give the names that make an image somebody else's; none for one of ours.

    Labels are inherited by what is built from ours, so they prove nothing for an image with a
    name: that has to be ours as well.
    """
    named = tuple(tags)
    if f":{PULLED_TAG}" in {tag[tag.rfind(":") :] for tag in named if tag.startswith(BASE_PREFIX)}:
        return ()
    if not named:
        return () if KIND_LABEL in labels else (identity,)
    if KIND_LABEL not in labels:
        return named
    return tuple(tag for tag in named if not is_our_tag(tag))


def is_our_tag(tag: str) -> bool:
    """Say whether a tag is of the form that only we give: an instance's image, or a base."""
    return tag.startswith(BASE_PREFIX) or bool(_INSTANCE_TAG.match(tag))


def is_bare(data_root: Path) -> bool:
    """Say whether an engine's directory plainly holds no container, volume or image."""
    patterns = (
        "containers/*",
        "volumes/*/_data",
        "image/*/imagedb/content/sha256/*",
        "containerd/daemon/io.containerd.content.v1.content/blobs/*/*",
    )
    return not any(next(data_root.glob(pattern), None) for pattern in patterns)


def others_at(data_root: Path) -> tuple[str, ...]:
    """Name what an engine's directory holds that is not ours, read without an engine.

    Images of the containerd store keep no list that can be read so: they can be had again.
    """
    return tuple(sorted({*_containers(data_root), *_volumes(data_root), *_tags(data_root)}))


def _containers(data_root: Path) -> Iterator[str]:
    for directory in data_root.glob("containers/*"):
        written = _json(directory / "config.v2.json")
        labels = (written.get("Config") or {}).get("Labels") or {}
        if INSTANCE_LABEL not in labels:
            yield f"container {str(written.get('Name') or directory.name).removeprefix('/')}"


def _volumes(data_root: Path) -> Iterator[str]:
    for data in data_root.glob("volumes/*/_data"):
        if not _VOLUME.fullmatch(data.parent.name):
            yield f"volume {data.parent.name}"


def _tags(data_root: Path) -> Iterator[str]:
    for file in data_root.glob("image/*/repositories.json"):
        names = {
            tag: image
            for tags in (_json(file).get("Repositories") or {}).values()
            for tag, image in tags.items()
            if "@" not in tag
        }
        pulled = {
            image
            for tag, image in names.items()
            if tag.startswith(BASE_PREFIX) and tag.endswith(f":{PULLED_TAG}")
        }
        yield from (
            f"image {tag}"
            for tag, image in names.items()
            if image not in pulled and not is_our_tag(tag)
        )


def _json(file: Path) -> dict[str, dict[str, dict[str, str]]]:
    try:
        found: dict[str, dict[str, dict[str, str]]] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found
