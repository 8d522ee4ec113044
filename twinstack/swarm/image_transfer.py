"""Images to a node without a registry: what it lacks, as one stream from engine to engine."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

import docker
from docker.errors import ImageNotFound

from twinstack.errors import StepFailed
from twinstack.swarm.client import client_words
from twinstack.swarm.nodes import Node

TIMEOUT_S = 300.0


def lacking(client: docker.DockerClient | None, wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Name the images (name → id) that an engine lacks, or has another content of."""
    return tuple(
        name
        for name, identity in sorted(wanted.items())
        if client is None or _identity(client, name) != identity
    )


def carry(instance: str, source_url: str, node: Node, images: tuple[str, ...]) -> None:
    """Send images to a node. Raises: Missing without the client; StepFailed.

    Same as: docker save IMAGE… | docker --host NODE load.
    """
    save = client_words(instance, source_url, "save", *images)
    load = client_words(instance, node.place.url, "load", "--quiet")
    with subprocess.Popen(save, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as saving:
        try:
            done = subprocess.run(
                load,
                stdin=saving.stdout,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            saving.kill()
            raise StepFailed(
                f"images of {node.name}", "are not carried", f"not within {TIMEOUT_S:g} s"
            ) from error
        _, said = saving.communicate()
    if saving.returncode or done.returncode:
        cause = said.decode(errors="replace").strip() or done.stderr.strip()
        raise StepFailed(f"images of {node.name}", "cannot be carried", cause[-600:])


def _identity(client: docker.DockerClient, name: str) -> str | None:
    try:
        return str(client.images.get(name).id)
    except ImageNotFound:
        return None
