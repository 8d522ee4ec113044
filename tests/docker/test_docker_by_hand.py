"""`docker-compose` by hand works on the same stack."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.docker_world import containers, until
from tests.support.own_engine import ENGINE, INSTANCE, print_nothing
from tests.support.project import ROOT
from twinstack.compose.client import compose_program
from twinstack.compose.render import project_name, render_files, state_directory
from twinstack.compose.world import DockerWorld

pytestmark = pytest.mark.docker


def test_compose_by_hand_finds_the_stack_as_it_should_be(up: DockerWorld):
    before = {name: container["Id"] for name, container in containers().items()}
    words = [
        str(compose_program()),
        "--project-name",
        project_name(INSTANCE),
        "--file",
        str(state_directory(INSTANCE) / "docker-compose.yml"),
        "up",
        "--detach",
    ]
    subprocess.run(words, env={**os.environ, "DOCKER_HOST": ENGINE.url}, check=True)
    assert {name: container["Id"] for name, container in containers().items()} == before


def test_compose_without_a_flag_works_from_the_root_by_way_of_the_env_file(
    up: DockerWorld, tmp_path: Path
):
    up.down(progress=print_nothing)
    for path, text in render_files(up.plan).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    environment = (ROOT / ".env").read_text()
    own = environment.replace(project_name("main"), project_name(INSTANCE))
    assert own != environment
    (tmp_path / ".env").write_text(own)

    def compose(*words: str) -> None:
        outside = {name: value for name, value in os.environ.items() if "COMPOSE" not in name}
        done = subprocess.run(
            [str(compose_program()), *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**outside, "DOCKER_HOST": ENGINE.url},
            check=False,
        )
        assert done.returncode == 0, done.stderr

    compose("up", "-d")
    try:
        until(lambda: {state.state for state in up.status()} == {"healthy"}, 60)
        projects = {
            container["Config"]["Labels"]["com.docker.compose.project"]
            for container in containers().values()
        }
        assert projects == {project_name(INSTANCE)}
    finally:
        compose("down")
        assert containers() == {}
