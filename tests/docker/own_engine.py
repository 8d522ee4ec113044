"""An engine of the tests' own, in a network namespace of its own: the user's is never touched."""

from __future__ import annotations

import subprocess
from pathlib import Path

from twinstack.compose.engine import EnginePlace
from twinstack.compose.world import DockerWorld
from twinstack.plan import resolve
from twinstack.topology import load

REPOSITORY = Path(__file__).parents[2]
INSTANCE = "dockertest"
NAMESPACE = "twinstack-dockertest"
PREFIX = ("nsenter", f"--net=/run/netns/{NAMESPACE}")
PLACE = EnginePlace(
    socket=Path("/run/twinstack-dockertest/docker.sock"),
    data_root=Path("/var/lib/twinstack-dockertest"),
    state=Path("/run/twinstack-dockertest/engine"),
    cgroup_parent="/twinstack-dockertest",
    prefix=PREFIX,
)


def in_namespace(*command: str, check: bool = True) -> str:
    """Run a command in the tests' network namespace and give what it printed."""
    done = subprocess.run([*PREFIX, *command], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def world(shape: str = "flat") -> DockerWorld:
    plan = resolve(load(REPOSITORY / "topology.yml"), shape, INSTANCE)
    return DockerWorld(plan, PLACE, REPOSITORY)


def print_nothing(_line: str) -> None:
    """Take progress and drop it."""
