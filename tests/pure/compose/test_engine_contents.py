"""What an engine's data hold that is not ours, by names and by the directory alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinstack.compose.engine_contents import foreign_names, foreign_objects_at, is_bare

OURS = {"twinstack.kind": "image"}


@pytest.mark.parametrize(
    ("tags", "labels", "foreign"),
    [
        (["twinstack-main/nginx-lb:latest"], OURS, ()),
        (["twinstack-base-nginx:host", "twinstack-base-nginx:bookworm"], OURS, ()),
        ([], OURS, ()),
        ([], {}, ("sha256:1",)),
        (["theirs:1"], {}, ("theirs:1",)),
        (["theirs:1"], OURS, ("theirs:1",)),
        (["twinstack-main/nginx-lb:latest", "theirs:1"], OURS, ("theirs:1",)),
        (["twinstack-main/nginx-lb:latest"], {}, ("twinstack-main/nginx-lb:latest",)),
        (["nginx:1.25", "twinstack-base-nginx:pulled"], {}, ()),
    ],
)
def test_an_image_is_ours_by_its_name_and_its_label_together(
    tags: list[str], labels: dict[str, str], foreign: tuple[str, ...]
):
    assert foreign_names("sha256:1", tags, labels) == foreign


def write(file: Path, content: object = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def test_data_of_an_engine_that_was_never_used_are_bare(tmp_path: Path):
    assert is_bare(tmp_path / "absent")
    write(tmp_path / "volumes/metadata.db")
    write(tmp_path / "image/overlay2/repositories.json", {"Repositories": {}})
    assert is_bare(tmp_path)


@pytest.mark.parametrize(
    "file",
    [
        "volumes/theirs/_data/x",
        "containers/1/config.v2.json",
        "image/overlay2/imagedb/content/sha256/1",
        "containerd/daemon/io.containerd.content.v1.content/blobs/sha256/1",
    ],
)
def test_data_with_a_volume_container_or_image_are_not_bare(tmp_path: Path, file: str):
    write(tmp_path / file)
    assert not is_bare(tmp_path)


def test_what_is_not_ours_is_read_from_the_directory(tmp_path: Path):
    labels = {"Labels": {"twinstack.instance": "main"}}
    write(tmp_path / "containers/1/config.v2.json", {"Name": "/a", "Config": labels})
    write(tmp_path / "containers/2/config.v2.json", {"Name": "/b", "Config": {"Labels": None}})
    write(tmp_path / "volumes/twinstack-main-postgres-db-data/_data/x")
    write(tmp_path / "volumes/theirs/_data/x")
    names = {
        "theirs": {"theirs:1": "sha256:1", "theirs@sha256:9": "sha256:1"},
        "twinstack-main/nginx-lb": {"twinstack-main/nginx-lb:latest": "sha256:2"},
        "nginx": {"nginx:1.25": "sha256:3"},
        "twinstack-base-nginx": {"twinstack-base-nginx:pulled": "sha256:3"},
    }
    write(tmp_path / "image/overlay2/repositories.json", {"Repositories": names})
    assert foreign_objects_at(tmp_path) == ("container b", "image theirs:1", "volume theirs")
