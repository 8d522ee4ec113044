"""Docker's two clients for the cluster's engines: the API's, and the command line's.

Only the command line deploys stacks, and streams images from engine to engine: no registry needed.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

import docker

from twinstack.compose.engine import connect
from twinstack.errors import Missing, StepFailed
from twinstack.swarm.nodes import SwarmNode, SwarmPaths

_COPY_S = 300.0


def docker_command(instance: str, url: str, *arguments: str) -> list[str]:
    """Give a `docker` command line for the engine at `url`. Raises: Missing without the client."""
    program = shutil.which("docker")
    if program is None:
        raise Missing("docker", "is not installed", "the client is needed", 'run "make setup"')
    # The user's own configuration may name another engine, or credential helpers that prompt.
    config = str(SwarmPaths(instance).lib / "docker-cli")
    return [program, "--config", config, "--host", url, *arguments]


@contextmanager
def clients(nodes: Sequence[SwarmNode]) -> Iterator[dict[str, docker.DockerClient | None]]:
    """Connect to each node's engine: None for one that does not answer."""
    connected: dict[str, docker.DockerClient | None] = {}
    with ExitStack() as stack:
        for node in nodes:
            client = connect(node.engine) if node.engine.socket.exists() else None
            connected[node.name] = stack.enter_context(closing(client)) if client else None
        yield connected


@contextmanager
def client_of(node: SwarmNode) -> Iterator[docker.DockerClient]:
    """Connect to a node's engine. Raises: Missing when it does not answer."""
    with clients([node]) as connected:
        client = connected[node.name]
        if client is None:
            raise Missing(f"engine {node.name}", "does not answer", "", "run: invoke swarm.up")
        yield client


def transfer_images(source_url: str, node: SwarmNode, images: Iterable[str]) -> None:
    """Copy images from one engine to a node's. Raises: Missing without the client; StepFailed.

    Same as: docker save IMAGE… | docker --host NODE load.
    """
    obj = f"images of {node.name}"
    save = docker_command(node.instance, source_url, "save", *images)
    load = docker_command(node.instance, node.engine.url, "load", "--quiet")
    with subprocess.Popen(save, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as saving:
        try:
            loaded = subprocess.run(
                load, stdin=saving.stdout, capture_output=True, timeout=_COPY_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            saving.kill()
            raise StepFailed(obj, "are not copied", f"not within {_COPY_S:g} s") from error
        _, save_errors = saving.communicate()
    if saving.returncode or loaded.returncode:
        cause = (save_errors.strip() or loaded.stderr.strip()).decode(errors="replace")
        raise StepFailed(obj, "cannot be copied", cause[-600:])
