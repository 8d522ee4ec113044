"""Docker's command-line client, for what only it does: streams of images, and stacks."""

from __future__ import annotations

import shutil

from twinstack.errors import Missing
from twinstack.swarm.nodes import client_directory


def client_words(instance: str, url: str, *words: str) -> list[str]:
    """Give the words of a command to the engine at `url`. Raises: Missing without the client."""
    program = shutil.which("docker")
    if program is None:
        raise Missing("docker", "is not installed", "the client is needed", 'run "make setup"')
    # A configuration of its own: the user's may name another engine, or helpers that ask.
    return [program, "--config", str(client_directory(instance)), "--host", url, *words]
