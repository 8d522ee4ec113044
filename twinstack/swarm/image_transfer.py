"""Copy images to a node without a registry, as one stream from engine to engine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from twinstack.errors import StepFailed
from twinstack.swarm.client import docker_command
from twinstack.swarm.nodes import SwarmNode

TIMEOUT_S = 300.0


def transfer(source_url: str, node: SwarmNode, images: Iterable[str]) -> None:
    """Copy images from one engine to a node's. Raises: Missing without the client; StepFailed.

    Same as: docker save IMAGE… | docker --host NODE load.
    """
    obj = f"images of {node.name}"
    save = docker_command(node.instance, source_url, "save", *images)
    load = docker_command(node.instance, node.engine.url, "load", "--quiet")
    with subprocess.Popen(save, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as saving:
        try:
            loaded = subprocess.run(
                load, stdin=saving.stdout, capture_output=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            saving.kill()
            raise StepFailed(obj, "are not copied", f"not within {TIMEOUT_S:g} s") from error
        _, save_errors = saving.communicate()
    if saving.returncode or loaded.returncode:
        cause = (save_errors.strip() or loaded.stderr.strip()).decode(errors="replace")
        raise StepFailed(obj, "cannot be copied", cause[-600:])
