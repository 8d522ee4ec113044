"""A bystander's host is brought into each state, which proves itself, and nothing of it is left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from bench.load import Tally
from bench.questions.bystander import STATES, Bystander, hide, unproven
from tests.support.own_engine import print_nothing
from tests.support.project import ROOT
from twinstack.linux import procfs
from twinstack.linux.own_host import in_own_host
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.software.roots import ensure_roots, recipe_for

pytestmark = pytest.mark.docker
CONTAINERS = 2
LEVELS = range(len(STATES))


@pytest.fixture(scope="module")
def tree(able: None) -> Path:
    plan = resolve(load(ROOT / "topology.yml"))
    accounts = {replica.service: replica.user for replica in plan.replicas}
    return ensure_roots(recipe_for(accounts), print_nothing).tree("nginx")


def left(pid: int) -> list[str]:
    """List what is there of a process's engine: cgroups, files, processes."""
    name = f"twinstack-bystander-{pid}"
    places = [*Path("/sys/fs/cgroup").glob(f"**/{name}-*"), Path(f"/run/{name}")]
    lines = [" ".join(procfs.cmdline(pid)) for pid in procfs.pids()]
    return [str(place) for place in places if place.exists()] + [
        line for line in lines if f"/run/{name}/" in line
    ]


def test_each_state_is_proven_and_loaded_and_nothing_is_left(tree: Path) -> None:
    def visit() -> tuple[int, list[tuple[dict[str, int], Tally]]]:
        hide()
        visited = []
        for level in LEVELS:
            state = Bystander(level, tree, CONTAINERS, 1)
            with state.during():
                tally = state.load()
            visited.append((dict(state.seen), tally))
        return os.getpid(), visited

    pid, visited = in_own_host(visit)
    for level, (seen, tally) in enumerate(visited):
        assert unproven(level, seen) == ""
        assert tally.done > 0 == tally.failed
        assert tally.figures["work"] > 0
    absent, whole = visited[0][0], visited[-1][0]
    assert not any(absent.get(name) for name in ("dockerd", "containerd", "rules", "conntrack"))
    assert whole["docker-proxy"] == whole["containers"] == CONTAINERS
    assert whole["probes"] >= 1
    assert left(pid) == []


def test_ctrl_c_leaves_nothing_and_what_was_measured_is_given(tree: Path) -> None:
    def stay() -> tuple[int, int, str]:
        hide()
        there = 0
        try:
            with Bystander(LEVELS[-1], tree, CONTAINERS, 1).during():
                there = len(left(os.getpid()))
                os.kill(os.getppid(), signal.SIGINT)
                time.sleep(60)
        except KeyboardInterrupt:
            return os.getpid(), there, "stopped by Ctrl-C"
        return os.getpid(), there, ""

    pid, there, said = in_own_host(stay)
    assert said == "stopped by Ctrl-C"
    assert there > 0  # what is looked for can be found
    assert left(pid) == []
