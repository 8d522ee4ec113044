"""Containers confined as the kernel sees it: users, limits, passwords, and one software."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.docker_world import containers
from tests.support.own_engine import ENGINE, INSTANCE, print_nothing
from twinstack.compose.engine import connect
from twinstack.compose.render import state_directory
from twinstack.compose.world import DockerWorld
from twinstack.linux.process import run
from twinstack.software.facts import software_answer, software_question
from twinstack.software.roots import ensure_roots, recipe_for

pytestmark = pytest.mark.docker


def test_every_container_is_confined_as_the_kernel_sees_it(up: DockerWorld):
    for state in up.status():
        assert state.pid is not None
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{state.pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        user = up.plan.replica(state.name).user
        assert status["Uid"].split() == [str(user)] * 4
        assert int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        options = next(
            line.split()[3].split(",")
            for line in Path(f"/proc/{state.pid}/mounts").read_text().splitlines()
            if line.split()[1] == "/"
        )
        assert "ro" in options


def test_limits_are_those_of_the_plan(up: DockerWorld):
    for name, attributes in containers().items():
        limits, host = up.plan.replica(name).limits, attributes["HostConfig"]
        assert limits is not None
        assert host["Memory"] == host["MemorySwap"] == limits.memory_bytes
        assert host["NanoCpus"] == int(limits.cpus * 1e9)
        assert host["PidsLimit"] == limits.pids


def test_passwords_are_in_no_environment_argument_image_or_label(up: DockerWorld):
    vault = state_directory(INSTANCE) / "secrets" / ".vault"
    passwords = [file.read_text() for file in vault.iterdir()]
    assert len(passwords) == 8  # a user's of each service in each store, and ours
    client = connect(ENGINE)
    assert client is not None
    seen = json.dumps(list(containers().values()))
    for image in client.images.list(filters={"label": "twinstack.kind"}):
        seen += json.dumps([image.attrs, image.history()])
    for process in up.processes():
        proc = Path(f"/proc/{process.pid}")
        with suppress(FileNotFoundError, ProcessLookupError):  # a probe that has just ended
            seen += (proc / "environ").read_bytes().decode(errors="replace") + process.command
    seen += (state_directory(INSTANCE) / "docker-compose.yml").read_text()
    assert "TWINSTACK_REPLICA" in seen
    assert not any(password in seen for password in passwords)


def test_the_images_software_is_the_root_trees(up: DockerWorld):
    accounts = {replica.service: replica.user for replica in up.plan.replicas}
    roots = ensure_roots(recipe_for(accounts), print_nothing)
    versions = up.software()
    for role in ("nginx", "redis", "postgres"):
        asked = run(["chroot", str(roots.tree(role)), *software_question(role)])
        of_tree = software_answer(asked.stdout)
        assert {name: versions[name] for name in of_tree} == of_tree
    assert {"python digest", "site digest", "services digest"} <= set(versions)
