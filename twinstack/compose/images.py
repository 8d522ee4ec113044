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
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from twinstack.compose.failures import attempt
from twinstack.compose.holdings import PULLED_TAG
from twinstack.compose.render import (
    BASE_PREFIX,
    DIGEST_LABEL,
    INSTANCE_LABEL,
    KIND_LABEL,
    SERVICE_LABEL,
    base_name,
    dockerfile_path,
    image_name,
    image_prefix,
    render_files,
)
from twinstack.errors import StepFailed
from twinstack.plan import Plan
from twinstack.runtimes import Role
from twinstack.software.roots import Roots
from twinstack.software.wheels import service_files

PULL_TIMEOUT_S = 30
_BASE_LABEL = "twinstack.roots"
#: Keeps hold of an image that lost its name to a newer build: images go by their tags alone.
_REPLACED = "replaced-"


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


def build_images(
    client: docker.DockerClient,
    url: str,
    plan: Plan,
    repository: Path,
    wheelhouse: Callable[[], Path],
    roots: Callable[[], Roots],
    progress: Callable[[str], None],
) -> tuple[str, ...]:
    """Make every image whose content changed and name those that were made.

    Raises: StepFailed with the builder's last words.
    """
    bases = ensure_bases(client, url, plan, roots, progress)
    made: list[str] = []
    roles = {replica.service: replica.role for replica in plan.replicas}
    for service, context in contexts(plan, repository, wheelhouse()).items():
        base = bases[roles[service]]
        digest = hashlib.sha256(f"{context.digest} {base.id}".encode()).hexdigest()[:16]
        name = image_name(plan, service)
        labels = {
            INSTANCE_LABEL: plan.instance,
            KIND_LABEL: "image",
            SERVICE_LABEL: service,
            DIGEST_LABEL: digest,
        }
        if _label(client, name, DIGEST_LABEL) == digest:
            continue
        progress(f"image {name}: building")
        _keep_hold(client, name)
        _build(client, name, context, str(base.tags[0] if base.tags else base.id), labels)
        made.append(name)
    return tuple(made)


def ensure_bases(
    client: docker.DockerClient,
    url: str,
    plan: Plan,
    roots: Callable[[], Roots],
    progress: Callable[[str], None],
) -> dict[Role, Any]:
    """Give each role's base image: found, else pulled, else made from the root tree."""
    declared = dict(plan.bases)
    roles = sorted({replica.role for replica in plan.replicas})
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = {
            role: pool.submit(_base, client, url, role, declared.get(role), roots, progress)
            for role in roles
        }
        return {role: job.result() for role, job in jobs.items()}


def remove_replaced(client: docker.DockerClient, instance: str) -> None:
    """Remove images of ours that lost their name to a newer build and that nothing runs on."""
    for tag in _tags(client, image_prefix(instance), BASE_PREFIX):
        if tag.rpartition(":")[2].startswith(_REPLACED):
            with suppress(APIError):  # still in use until its container is replaced
                client.images.remove(tag)


def remove_images(
    client: docker.DockerClient, instance: str, failures: list[Exception]
) -> tuple[str, ...]:
    """Remove an instance's images; the bases and build stages too when no instance is left.

    By tag and without force, never by label: a label is inherited by what others build from
    ours. What is in use stays and is a failure. A build stage has no tag; nothing of anybody's
    with a name has its label.
    """
    removed: list[str] = []

    def remove(tags: list[str]) -> None:
        for tag in tags:
            if attempt(failures, f"image {tag}", partial(client.images.remove, tag)):
                removed.append(f"image {tag}")

    remove(_tags(client, image_prefix(instance)))
    left = {tag for tag in _tags(client, "twinstack-") if "/" in tag}
    if not left:
        stages = {"label": f"{KIND_LABEL}=build", "dangling": True}
        for stage in client.images.list(filters=stages):
            with suppress(APIError):  # somebody built from it
                client.images.remove(str(stage.id))
        remove(_tags(client, BASE_PREFIX))
    return tuple(removed)


def _tags(client: docker.DockerClient, *prefixes: str) -> list[str]:
    return sorted(
        tag for image in client.images.list() for tag in image.tags if tag.startswith(prefixes)
    )


def _keep_hold(client: docker.DockerClient, name: str) -> None:
    """Give the image that is about to lose a name another one, to remove it by."""
    image = _find(client, name)
    if image:
        image.tag(name.rpartition(":")[0], tag=f"{_REPLACED}{image.id.partition(':')[2][:12]}")


def _base(
    client: docker.DockerClient,
    url: str,
    role: Role,
    declared: str | None,
    roots: Callable[[], Roots],
    progress: Callable[[str], None],
) -> Any:
    if declared and not declared.startswith(BASE_PREFIX):
        found = _find(client, declared)
        if found:
            return found
        found = _pull(url, declared, progress)
        if found:  # noted, for it is not the user's
            found.tag(base_name(role).partition(":")[0], tag=PULLED_TAG)
            return found
        progress(f"base {declared}: neither found nor pulled: made from Debian's packages")
    trees = roots()
    name = base_name(role)
    if _label(client, name, _BASE_LABEL) == trees.directory.name:
        return client.images.get(name)
    progress(f"base {name}: importing the {role} tree")
    _keep_hold(client, name)
    _import(client, trees, role)
    image = client.images.get(base_name(role, trees.suite))
    image.tag(*name.split(":"))
    return client.images.get(name)


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
            fileobj=context.tar(), custom_context=True, dockerfile=context.dockerfile, tag=name,
            buildargs={"BASE": base}, labels=dict(labels), network_mode="none",
            rm=True, forcerm=True, pull=False, decode=True,
        ):  # fmt: skip
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
