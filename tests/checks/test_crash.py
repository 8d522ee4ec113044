"""Killed or failing at any step, up and down leave what down clears away and up goes on from.

A point is one step and one moment: killed just before it, killed just after it, one of its own
calls failing, drawn by a fixed seed among all that the step makes. `--full` takes every point, of
the network alone and of the whole stack; without it, a sample.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.bystanders import Bystanders, bystanders
from tests.support.drive import MOMENTS, Driver, driver
from tests.support.faults import counted
from tests.support.sandbox import Sandbox, differences, sandbox, snapshot
from twinstack.model.names import link_group

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

Point = tuple[str, str]
#: After so many points it says where it is.
_TOLD = 10


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
    running = [point for point in points if point[0].split()[0] in kinds]
    firsts = {(step.split()[0], moment): (step, moment) for step, moment in running}
    return chance.sample(sorted(firsts.values()), 2)


def _count(drive: Driver, action: str, log: Path) -> Counter[str]:
    """Take the action once, undisturbed, and give how many calls each of its steps makes."""
    log.unlink(missing_ok=True)
    planned = drive.steps(action)
    drive.order(action, calls=log)
    made = counted(log)
    # Of rules, which are one call, the last alone is counted; all else that was planned is done.
    assert {step for step in planned if not step.startswith("rules ")} <= set(made)
    assert set(made) <= set(planned)
    return made


def _before(drive: Driver, action: str, step: str) -> None:
    """Make the state that an action is struck in: what down keeps is a step after clean alone."""
    if action == "down":
        drive.order("up")
    else:
        drive.order("clean" if "/var/lib/" in step else "down")


def _strike(drive: Driver, action: str, step: str, moment: str, call: int, log: Path) -> str:
    """Take the action, struck at a point; give what failed, if something did."""
    _before(drive, action, step)
    log.unlink(missing_ok=True)
    done = drive.order(action, at=(moment, step, call), calls=log, check=False)
    what = f"{action} {moment} {step}, call {call}: {done}"
    if moment != "during":
        assert done.code == -signal.SIGKILL, what
        return ""
    if call > 1 and not log.exists():  # a step that waits asks less often when all goes quickly
        return _strike(drive, action, step, moment, call // 2, log)
    failed = log.read_text().strip() if call else "the step failed"
    if done.code == 0:  # what failed was no need: then nothing may be amiss
        assert drive.steps(action) == [], what
        return f"{failed}, to no harm"
    assert done.code == 1, what
    assert "Cannot allocate memory" in done.output, what
    # The user sees an error of ours that names the object, never a traceback.
    raised = [line for line in done.output.splitlines() if line[:1].isalpha() and ": " in line]
    assert raised[-1].startswith("twinstack.errors."), what
    return failed


@pytest.mark.timeout(0)
def test_up_and_down_survive_being_stopped_at_any_step(
    stage: Stage, full: bool, first: int, tell: Callable[[str], None], tmp_path: Path
):
    drive, log = stage.drive, tmp_path / "calls"
    chance = random.Random(3)
    drive.order("clean")
    up = [(step, moment) for step in drive.steps("up") for moment in MOMENTS]
    calls = {"up": _count(drive, "up", log)}
    down = [(step, moment) for step in drive.steps("down") for moment in MOMENTS]
    calls["down"] = _count(drive, "down", log)
    drive.order("up")
    taken = {"up": first, "down": max(0, first - len(up))}
    for action, every in (("up", up), ("down", down)):
        points = every[taken[action] :] if full else _sample(every, bare=drive.bare)
        failed: Counter[str] = Counter()
        where = "network" if drive.bare else "stack"
        for number, (step, moment) in enumerate(points, start=1):
            if number % _TOLD == 0:
                tell(f"net {where}: {action}: at point {taken[action] + number} of {len(every)}")
            made = calls[action][step]
            call = chance.randint(1, made) if made else 0
            result = _strike(drive, action, step, moment, call if moment == "during" else 0, log)
            failed.update([result] if result else [])
            stage.assert_clears_and_converges(f"{action}, {moment} {step}, call {call}")
        tell(
            f"net {where}: {action}: {len(points)} of {len(every)} points injected"
            f" ({len(every) // len(MOMENTS)} steps x {len(MOMENTS)}); what failed:"
            f" {dict(failed.most_common())}"
        )
        if full:
            assert len(points) == max(0, len(every) - taken[action])
