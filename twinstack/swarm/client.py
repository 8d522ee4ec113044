"""Docker's two clients for the cluster's engines: the API's, and the command line's.

Only the command line streams images from engine to engine, and deploys stacks.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import docker

from twinstack.compose.engine import connect
from twinstack.errors import Missing
from twinstack.swarm.nodes import SwarmNode, SwarmPaths


def docker_command(instance: str, url: str, *arguments: str) -> list[str]:
    """Give a `docker` command line for the engine at `url`. Raises: Missing without the client."""
    program = shutil.which("docker")
    if program is None:
        raise Missing("docker", "is not installed", "the client is needed", 'run "make setup"')
    # The user's own configuration may name another engine, or credential helpers that prompt.
    config = str(SwarmPaths(instance).client_config)
    return [program, "--config", config, "--host", url, *arguments]


@contextmanager
def clients(nodes: Sequence[SwarmNode]) -> Iterator[dict[str, docker.DockerClient | None]]:
    """Connect to each node's engine: None for one that does not answer."""
    connected = {
        node.name: connect(node.engine) if node.engine.socket.exists() else None for node in nodes
    }
    try:
        yield connected
    finally:
        for client in connected.values():
            if client:
                client.close()


@contextmanager
def client_of(node: SwarmNode) -> Iterator[docker.DockerClient]:
    """Connect to a node's engine. Raises: Missing when it does not answer."""
    with clients([node]) as connected:
        client = connected[node.name]
        if client is None:
            raise Missing(f"engine {node.name}", "does not answer", "", "run: invoke swarm.up")
        yield client
