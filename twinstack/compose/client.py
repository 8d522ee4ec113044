"""The compose program: Compose v2 or later from a Python package, as a plugin of Docker's client.

Docker's client looks for plugins in its configuration directory. Ours is a private one, so that
neither the user's ~/.docker nor a plugin of the machine's matters.
"""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from python_on_whales import DockerClient

from twinstack.errors import Missing

_PROGRAM = "docker-compose"


def compose_program() -> Path:
    """Give the compose binary that was installed beside this interpreter. Raises: Missing."""
    program = Path(sysconfig.get_path("scripts")) / _PROGRAM
    if not program.exists():
        raise Missing(_PROGRAM, "is not installed", f"there is no {program}", 'run "make setup"')
    return program


def compose_client(url: str, state: Path, file: Path, project: str) -> DockerClient:
    """Give a client of the engine at `url` for one compose project.

    `state` is where the private configuration goes. Raises: Missing without the programs.
    """
    if not shutil.which("docker"):
        raise Missing("docker", "is not installed", "the client is needed", 'run "make setup"')
    plugins = state / "docker-cli" / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    link, program = plugins / _PROGRAM, compose_program()
    if not link.is_symlink() or link.readlink() != program:
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    return DockerClient(
        host=url,
        config=plugins.parent,
        compose_files=[file],
        compose_project_name=project,
        compose_project_directory=file.parent,
    )
