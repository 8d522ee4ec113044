"""Killed or failing at any step, up and down leave what down clears away and up goes on from.

A point is one step and one moment: killed just before it, killed just after it, its own call
failing. `--full` takes every point, of the network alone and of the whole stack; without it, a
sample by a fixed seed.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.bystanders import Bystanders, bystanders
from tests.checks.drive import MOMENTS, Driver, driver
from tests.sandbox import Sandbox, differences, sandbox, snapshot
from twinstack.names import link_group

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

Point = tuple[str, str]


@dataclass(frozen=True)
class Stage:
    """A host, what stands on it, and how it looks when nothing of ours is there."""

    host: Sandbox
    others: Bystanders
    drive: Driver
    empty: dict[str, str]

    def assert_clears_and_converges(self, what: str) -> None:
        """Take down twice from fresh processes, find nothing, go up, find nothing to do."""
        self.drive.order("down")
        self.drive.order("down")
        left = differences(self.empty, snapshot(self.host, but=("data",)))
        assert left == [], what
        self.others.assert_untouched()
        self.drive.order("up")
        assert self.drive.steps("up") == [], what


@pytest.fixture(scope="module", params=["network", "stack"])
def stage(request: pytest.FixtureRequest, software: None) -> Iterator[Stage]:
    bare = request.param == "network"
    with (
        sandbox(f"c{request.param[0]}") as host,
        bystanders(host, group=link_group(host.instance)) as others,
        driver(host, bare=bare) as drive,
    ):
        yield Stage(host, others, drive, snapshot(host, but=("data",)))
        drive.order("down")


def _sample(points: list[Point], *, bare: bool) -> list[Point]:
    """Thin the points: a few of the network's, and for the stack one kind of step each."""
    chance = random.Random(3)
    if bare:
        return sorted(chance.sample(points, 8), key=points.index)
    kinds = {"cgroup", "file", "directory", "supervisor", "process"}
    running = [one for one in points if one[0].split()[0] in kinds]
    firsts = {(step.split()[0], moment): (step, moment) for step, moment in running}
    return chance.sample(sorted(firsts.values()), 2)


@pytest.mark.timeout(0)
def test_up_and_down_survive_being_stopped_at_any_step(
    stage: Stage, full: bool, tell: Callable[[str], None]
):
    drive = stage.drive
    up = [(step, moment) for step in drive.steps("up") for moment in MOMENTS]
    drive.order("up")
    down = [(step, moment) for step in drive.steps("down") for moment in MOMENTS]
    for action, every in (("up", up), ("down", down)):
        points = every if full else _sample(every, bare=drive.bare)
        for step, moment in points:
            if action == "up":
                # What down keeps is there already; only clean makes its making a step again.
                drive.order("clean" if "/var/lib/" in step else "down")
            done = drive.order(action, at=(moment, step), check=False)
            expected = 1 if moment == "during" else -signal.SIGKILL
            assert done.code == expected, f"{action} {moment} {step}: {done}"
            if moment == "during":
                assert "Cannot allocate memory" in done.said, done.said
            stage.assert_clears_and_converges(f"{action}, {moment} {step}")
        where = "network" if drive.bare else "stack"
        tell(
            f"net {where}: {action}: {len(points)} of {len(every)} points injected"
            f" ({len(every) // len(MOMENTS)} steps x {len(MOMENTS)})"
        )
        if full:
            assert len(points) == len(every)
