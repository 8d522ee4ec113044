"""Images: bases from the root trees, and one image a service, built when its content changed.

Every build's context is a tar of exactly the files that its Dockerfile copies; their digest, with
that of the base, is a label of the image. The builds need no network.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from twinstack.compose.engine_contents import PULLED_TAG, is_our_tag
from twinstack.compose.facts import ImageFacts
from twinstack.compose.render import (
    BASE_PREFIX,
    DIGEST_LABEL,
    INSTANCE_LABEL,
    KIND_LABEL,
    REPLACED,
    SERVICE_LABEL,
    base_name,
    dockerfile_path,
    image_digest,
    image_name,
    image_prefix,
    render_files,
    replaced_name,
)
from twinstack.errors import StepFailed
from twinstack.model.plan import Plan
from twinstack.model.runtimes import Role
from twinstack.software.roots import Recipe, Roots
from twinstack.software.wheels import service_files

PULL_TIMEOUT_S = 30
_BASE_LABEL = "twinstack.roots"


@dataclass(frozen=True, slots=True)
class BuildContext:
    """The files of one build: path in the context → content or the host's file."""

    dockerfile: str
    files: Mapping[str, Path | bytes]

    @property
    def digest(self) -> str:
        """Digest names, contents and modes' executable bits, in a fixed order."""
        total = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            data = content if isinstance(content, bytes) else content.read_bytes()
            total.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
        return total.hexdigest()

    def tar(self) -> io.BytesIO:
        """Pack the context; owners and times are fixed, so that the build cache can match."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, content in sorted(self.files.items()):
                data = content if isinstance(content, bytes) else content.read_bytes()
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), 0o644
                archive.addfile(entry, io.BytesIO(data))
        packed.seek(0)
        return packed


def contexts(plan: Plan, repository: Path, wheelhouse: Path) -> dict[str, BuildContext]:
    """Give each service's build context, from the plan's own rendered files."""
    rendered = render_files(plan)
    applications = {
        path.relative_to(repository).as_posix(): path for path in service_files(repository)
    }
    wheels = {f"wheelhouse/{path.name}": path for path in wheelhouse.glob("*.whl")}
    found: dict[str, BuildContext] = {}
    for replica in plan.replicas:
        home = f"dockerfiles/{replica.service}/"
        files: dict[str, Path | bytes] = {
            path: text.encode() for path, text in rendered.items() if path.startswith(home)
        }
        if replica.role == "python":
            files |= wheels | applications
        elif replica.role == "postgres":
            stores = ((name, path) for name, path in applications.items() if "/stores/" in name)
            files |= dict(stores)
        found[replica.service] = BuildContext(dockerfile_path(replica.service), files)
    return found


def find_base(client: docker.DockerClient, role: Role, declared: str | None, trees: str) -> Any:
    """Give a role's base image if it is there, else None; `trees` names the wanted root trees.

    A declared one that could be neither found nor pulled is stood in for by our own.
    """
    if declared and not declared.startswith(BASE_PREFIX):
        found = _find(client, declared)
        if found or not _find(client, _instead(role, declared)):
            return found
    found = _find(client, base_name(role))
    return found if found and found.labels.get(_BASE_LABEL) == trees else None


def make_base(
    client: docker.DockerClient,
    url: str,
    role: Role,
    declared: str | None,
    roots: Callable[[], Roots],
    progress: Callable[[str], None],
) -> None:
    """Pull a role's declared base, or import the root tree. Raises: as `roots`; StepFailed."""
    foreign = declared if declared and not declared.startswith(BASE_PREFIX) else None
    if foreign:
        found = _pull(url, foreign, progress)
        if found:  # noted, for it is not the user's
            found.tag(base_name(role).partition(":")[0], tag=PULLED_TAG)
            return
        progress(f"base {foreign}: neither found nor pulled: made from Debian's packages")
    trees, name = roots(), base_name(role)
    if _label(client, name, _BASE_LABEL) != trees.directory.name:
        suite = base_name(role, trees.suite)
        _keep_hold(client, name)
        if _label(client, suite, _BASE_LABEL) != trees.directory.name:
            progress(f"base {name}: importing the {role} tree")
            _keep_hold(client, suite)
            _import(client, trees, role)
        client.images.get(suite).tag(*name.split(":"))
    if foreign:  # so that the next `up` does not look for it again
        client.images.get(name).tag(*_instead(role, foreign).split(":"))


def outdated_bases(client: docker.DockerClient, role: Role, recipe: Recipe) -> Iterator[str]:
    """Give the names by which `make_base` will hold the images of ours that lose theirs."""
    for name in (base_name(role), base_name(role, recipe.release.suite)):
        image = _find(client, name)
        if image and image.labels.get(_BASE_LABEL) != recipe.name:
            yield replaced_name(name, str(image.id))


def make_image(
    client: docker.DockerClient, plan: Plan, service: str, context: BuildContext, base: Any
) -> None:
    """Build a service's image on its base. Raises: StepFailed with the builder's last words."""
    name = image_name(plan, service)
    labels = {
        INSTANCE_LABEL: plan.instance,
        KIND_LABEL: "image",
        SERVICE_LABEL: service,
        DIGEST_LABEL: image_digest(context.digest, base.id),
    }
    _keep_hold(client, name)
    _build(client, name, context, str(base.tags[0] if base.tags else base.id), labels)


def find_image(client: docker.DockerClient, name: str) -> ImageFacts | None:
    """Give what is known of an image by its name, or None."""
    image = _find(client, name)
    return ImageFacts(str(image.id), image.labels.get(DIGEST_LABEL)) if image else None


def replaced_tags(client: docker.DockerClient, instance: str) -> tuple[str, ...]:
    """List names of ours that keep hold of an image, but of one that others' containers run on."""
    used = {
        one["ImageID"]
        for one in client.api.containers(all=True)
        if one["Labels"].get(INSTANCE_LABEL) != instance
    }
    return tuple(
        tag
        for image, tags in _tagged(client).items()
        for tag in tags
        if image not in used and tag.rpartition(":")[2].startswith(REPLACED)
        if tag.startswith((image_prefix(instance), BASE_PREFIX))
    )


def our_images(
    client: docker.DockerClient, instance: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """List an instance's tags, and build stages and tags of bases when no other has images.

    By tag and never by label: a label is inherited by what others build from ours. What a build
    leaves, whole or cut short, has no tag; nothing of anybody's with a name is taken for it.
    """
    tags = sorted(tag for tags in _tagged(client).values() for tag in tags)
    mine = tuple(tag for tag in tags if tag.startswith(image_prefix(instance)))
    if any(is_our_tag(tag) and "/" in tag for tag in tags if tag not in mine):
        return mine, (), ()
    stages = (
        str(one["Id"])
        for one in client.api.images(filters={"label": KIND_LABEL, "dangling": True})
        if one["Labels"][KIND_LABEL] in {"build", "base"}
    )
    return mine, tuple(stages), tuple(tag for tag in tags if tag.startswith(BASE_PREFIX))


def remove_replaced(client: docker.DockerClient, tag: str) -> None:
    """Let go of an image that was replaced; one that a stranger's container runs on stays."""
    try:
        client.images.remove(tag)
    except ImageNotFound:
        return
    except APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:
            raise


def remove_stage(client: docker.DockerClient, identity: str) -> None:
    """Remove a build stage; one that somebody built from stays."""
    with suppress(APIError):
        client.images.remove(identity)


def _tagged(client: docker.DockerClient) -> dict[str, list[str]]:
    return {str(one["Id"]): list(one["RepoTags"] or ()) for one in client.api.images()}


def _instead(role: Role, declared: str) -> str:
    """Name our base as the one that stands in for a declared one."""
    digest = hashlib.sha256(declared.encode()).hexdigest()[:12]
    return base_name(role, f"instead-{digest}")


def _keep_hold(client: docker.DockerClient, name: str) -> None:
    """Give the image that is about to lose a name another: images go by their tags alone."""
    image = _find(client, name)
    if image:
        image.tag(*replaced_name(name, str(image.id)).rsplit(":", 1))


def _import(client: docker.DockerClient, trees: Roots, role: Role) -> None:
    repository, tag = base_name(role, trees.suite).split(":")
    labels = (f"{KIND_LABEL}=base", f"{_BASE_LABEL}={trees.directory.name}")
    tar = ["tar", "--numeric-owner", "--sort=name", "-C", str(trees.tree(role)), "-c", "."]
    with subprocess.Popen(tar, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as packer:
        assert packer.stdout is not None
        said = client.api.import_image_from_stream(
            packer.stdout,
            repository=repository,
            tag=tag,
            changes=[f"LABEL {one}" for one in labels],
        )
    if packer.returncode != 0 or "error" in str(said).lower():
        raise StepFailed(f"base {repository}:{tag}", "cannot be imported", str(said)[-300:])


def _build(
    client: docker.DockerClient,
    name: str,
    context: BuildContext,
    base: str,
    labels: Mapping[str, str],
) -> None:
    said: list[str] = []
    try:
        for word in client.api.build(
            fileobj=context.tar(),
            custom_context=True,
            dockerfile=context.dockerfile,
            tag=name,
            buildargs={"BASE": base},
            labels=dict(labels),
            network_mode="none",
            rm=True,
            forcerm=True,
            pull=False,
            decode=True,
        ):
            said += _lines(word)
            if "error" in word:
                raise StepFailed(f"image {name}", "cannot be built", " / ".join(said[-6:]))
    except (APIError, DockerException) as error:
        raise StepFailed(f"image {name}", "cannot be built", str(error)) from error


def _lines(word: Mapping[str, Any]) -> Iterator[str]:
    text = str(word.get("stream") or word.get("error") or "")
    yield from (line.strip() for line in text.splitlines() if line.strip())


def _find(client: docker.DockerClient, name: str) -> Any | None:
    try:
        return client.images.get(name)
    except ImageNotFound:
        return None


def _label(client: docker.DockerClient, name: str, label: str) -> str | None:
    image = _find(client, name)
    return image.labels.get(label) if image else None


def _pull(url: str, name: str, progress: Callable[[str], None]) -> Any | None:
    progress(f"base {name}: pulling")
    try:
        # A client of its own: this one gives up soon where no registry can be reached.
        with closing(docker.DockerClient(base_url=url, timeout=PULL_TIMEOUT_S)) as client:
            return client.images.pull(name)
    except (DockerException, OSError):
        return None
