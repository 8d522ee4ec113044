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
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from twinstack.compose import render
from twinstack.compose.engine_contents import PULLED_TAG, is_our_tag
from twinstack.compose.facts import ImageFacts, OwnedDockerObjects
from twinstack.errors import StepFailed
from twinstack.model.plan import Plan
from twinstack.model.releases import CHECKOUT
from twinstack.model.runtimes import Role
from twinstack.reconcile import Progress
from twinstack.software.roots import Recipe, Roots
from twinstack.software.versions import check_kept
from twinstack.software.wheels import service_files

PULL_TIMEOUT_S = 30
_TREES_LABEL = "twinstack.roots"


@dataclass(frozen=True, slots=True)
class BuildContext:
    """The files of one build."""

    dockerfile: str
    files: Mapping[str, Path | bytes]  # path in the context → content, or the host's file

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        for name, content in sorted(self.files.items()):
            yield name, content if isinstance(content, bytes) else content.read_bytes()

    @property
    def digest(self) -> str:
        """Digest names and contents, in a fixed order."""
        total = hashlib.sha256()
        for name, data in self._contents():
            total.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
        return total.hexdigest()

    def tar(self) -> io.BytesIO:
        """Pack the context; owners and times are fixed, so that the build cache can match."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, data in self._contents():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), 0o644
                archive.addfile(entry, io.BytesIO(data))
        packed.seek(0)
        return packed


def contexts(plan: Plan, repository: Path, wheelhouse: Path) -> dict[str, BuildContext]:
    """Give each image's build context, from the plan's own rendered files.

    Raises: TwinstackError for a released version that is gone.
    """
    rendered = {path: text.encode() for path, text in render.render_files(plan).items()}
    wheels = {f"wheelhouse/{path.name}": path for path in wheelhouse.glob("*.whl")}
    sources = {CHECKOUT: _sources(repository)}
    kept = render.versions_directory(plan.instance)
    for version in {replica.version for replica in plan.replicas} - {CHECKOUT}:
        check_kept(kept, [version])
        sources[version] = _sources(kept / version)
    by_image: dict[str, BuildContext] = {}
    for replica in plan.replicas:
        directory = f"dockerfiles/{replica.service}/"
        files: dict[str, Path | bytes] = {
            path: text for path, text in rendered.items() if path.startswith(directory)
        }
        if replica.role == "python":
            files |= wheels | sources[replica.version]
        elif replica.role == "postgres":
            own = sources[replica.version]
            files |= {name: path for name, path in own.items() if "/stores/" in name}
        image = render.image_name(plan, replica.service, replica.version)
        by_image[image] = BuildContext(render.dockerfile_path(replica.service), files)
    return by_image


def _sources(home: Path) -> dict[str, Path]:
    return {path.relative_to(home).as_posix(): path for path in service_files(home)}


def find_base(client: docker.DockerClient, role: Role, declared: str | None, trees: str) -> Any:
    """Give a role's base image if it is there; `trees` names the root trees that ours is made of.

    Where a declared one could be neither found nor pulled, our own stands in for it.
    """
    if declared:
        image = _find(client, declared)
        if image or not _find(client, _substitute(role, declared)):
            return image
    image = _find(client, render.base_name(role))
    return image if image and image.labels.get(_TREES_LABEL) == trees else None


def make_base(
    client: docker.DockerClient,
    url: str,
    role: Role,
    declared: str | None,
    roots: Callable[[], Roots],
    progress: Progress,
) -> None:
    """Pull a role's declared base, or import the root tree. Raises: as `roots`; StepFailed."""
    name = render.base_name(role)
    if declared:
        image = _pull(url, declared, progress)
        if image:  # marked as ours: the user did not pull it
            image.tag(name.partition(":")[0], tag=PULLED_TAG)
            return
        progress(f"base {declared}: neither found nor pulled: made from Debian's packages")
    trees = roots()
    if not _is_of(client, name, trees):
        suite = render.base_name(role, trees.suite)
        _keep(client, name)
        if not _is_of(client, suite, trees):
            progress(f"base {name}: importing the {role} tree")
            _keep(client, suite)
            _import(client, trees, role)
        client.images.get(suite).tag(*name.split(":"))
    if declared:  # so that the next `up` does not look for it again
        client.images.get(name).tag(*_substitute(role, declared).split(":"))


def outdated_bases(client: docker.DockerClient, role: Role, recipe: Recipe) -> Iterator[str]:
    """Give the names by which `make_base` will keep the images of ours that lose theirs."""
    for name in (render.base_name(role), render.base_name(role, recipe.release.suite)):
        image = _find(client, name)
        if image and image.labels.get(_TREES_LABEL) != recipe.name:
            yield render.replaced_name(name, str(image.id))


def make_image(
    client: docker.DockerClient,
    plan: Plan,
    service: str,
    name: str,
    context: BuildContext,
    base: Any,
) -> None:
    """Build a service's image on its base. Raises: StepFailed with the builder's last lines."""
    labels = {
        render.INSTANCE_LABEL: plan.instance,
        render.KIND_LABEL: "image",
        render.SERVICE_LABEL: service,
        render.DIGEST_LABEL: render.image_digest(context.digest, base.id),
    }
    _keep(client, name)
    lines: list[str] = []
    try:
        for message in client.api.build(
            fileobj=context.tar(),
            custom_context=True,
            dockerfile=context.dockerfile,
            tag=name,
            buildargs={"BASE": str(base.tags[0] if base.tags else base.id)},
            labels=labels,
            network_mode="none",
            rm=True,
            forcerm=True,
            pull=False,
            decode=True,
        ):
            text = str(message.get("stream") or message.get("error") or "")
            lines += [line.strip() for line in text.splitlines() if line.strip()]
            if "error" in message:
                raise StepFailed(f"image {name}", "cannot be built", " / ".join(lines[-6:]))
    except DockerException as error:
        raise StepFailed(f"image {name}", "cannot be built", str(error)) from error


def find_image(client: docker.DockerClient, name: str) -> ImageFacts | None:
    """Give the facts of an image by its name."""
    image = _find(client, name)
    return ImageFacts(str(image.id), image.labels.get(render.DIGEST_LABEL)) if image else None


def replaced_tags(client: docker.DockerClient, instance: str) -> tuple[str, ...]:
    """List names that keep replaced images of ours, unless a foreign container runs on them.

    Those of versions are among them: the plan tells which of these are needed.
    """
    used = {
        container["ImageID"]
        for container in client.api.containers(all=True)
        if container["Labels"].get(render.INSTANCE_LABEL) != instance
    }
    return tuple(
        tag
        for image in client.api.images()
        for tag in image["RepoTags"] or ()
        if image["Id"] not in used
        if tag.rpartition(":")[2].startswith((render.REPLACED, render.VERSION))
        if tag.startswith((render.image_prefix(instance), render.BASE_PREFIX))
    )


def our_images(client: docker.DockerClient, instance: str) -> OwnedDockerObjects:
    """List an instance's tags; build stages and tags of bases too if no other has images.

    By tag, never by label: others' builds from ours inherit labels. What a build of ours leaves,
    complete or cut short, has no tag.
    """
    tags = sorted(tag for image in client.api.images() for tag in image["RepoTags"] or ())
    own = tuple(tag for tag in tags if tag.startswith(render.image_prefix(instance)))
    if any(is_our_tag(tag) and "/" in tag for tag in tags if tag not in own):
        return {"image": own}
    stages = (
        str(image["Id"])
        for image in client.api.images(filters={"label": render.KIND_LABEL, "dangling": True})
        if image["Labels"][render.KIND_LABEL] in {"build", "base"}
    )
    bases = tuple(tag for tag in tags if tag.startswith(render.BASE_PREFIX))
    return {"image": own, "build stage": tuple(stages), "base": bases}


def remove_unless_used(client: docker.DockerClient, name: str) -> None:
    """Remove an image that was replaced, or a build stage, by its name or id.

    One that a foreign container runs on, or that somebody built from, stays.
    """
    try:
        client.images.remove(name)
    except ImageNotFound:
        return
    except APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:
            raise


def _substitute(role: Role, declared: str) -> str:
    """Name our base as the one that stands in for a declared one."""
    digest = hashlib.sha256(declared.encode()).hexdigest()[:12]
    return render.base_name(role, f"instead-{digest}")


def _keep(client: docker.DockerClient, name: str) -> None:
    """Give the image that is about to lose a name another one, to find and remove it by."""
    image = _find(client, name)
    if image:
        image.tag(*render.replaced_name(name, str(image.id)).rsplit(":", 1))


def _import(client: docker.DockerClient, trees: Roots, role: Role) -> None:
    repository, tag = render.base_name(role, trees.suite).split(":")
    labels = (f"{render.KIND_LABEL}=base", f"{_TREES_LABEL}={trees.directory.name}")
    tar = ["tar", "--numeric-owner", "--sort=name", "-C", str(trees.tree(role)), "-c", "."]
    with subprocess.Popen(tar, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as packer:
        assert packer.stdout is not None
        answer = client.api.import_image_from_stream(
            packer.stdout,
            repository=repository,
            tag=tag,
            changes=[f"LABEL {label}" for label in labels],
        )
    if packer.returncode != 0 or "error" in str(answer).lower():
        raise StepFailed(f"base {repository}:{tag}", "cannot be imported", str(answer)[-300:])


def _find(client: docker.DockerClient, name: str) -> Any | None:
    try:
        return client.images.get(name)
    except ImageNotFound:
        return None


def _is_of(client: docker.DockerClient, name: str, trees: Roots) -> bool:
    """Say whether a base is there and made of these root trees."""
    image = _find(client, name)
    return image is not None and image.labels.get(_TREES_LABEL) == trees.directory.name


def _pull(url: str, name: str, progress: Progress) -> Any | None:
    progress(f"base {name}: pulling")
    try:
        # A client of its own: this one gives up soon where no registry can be reached.
        with closing(docker.DockerClient(base_url=url, timeout=PULL_TIMEOUT_S)) as client:
            return client.images.pull(name)
    except (DockerException, OSError):
        return None
