from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest

from tests.support.machines import HERE
from twinstack.errors import NotHealthy, SeveralFailed, StepFailed, TwinstackError
from twinstack.overlay import fanout
from twinstack.overlay.ssh import Machine


def test_a_stopped_machine_is_not_named_beside_the_one_that_failed():
    stopped = fanout.Stopped("host left", "was stopped")
    failed = StepFailed("host right", "cannot be reached")
    with pytest.raises(StepFailed, match="host right: cannot be reached"):
        fanout.raise_failures([stopped, failed])
    unhealthy = SeveralFailed("up", [NotHealthy("a", "is down"), NotHealthy("b", "is down")])
    with pytest.raises(SeveralFailed, match="2 steps failed"):
        fanout.raise_failures([unhealthy])
    fanout.raise_failures([])


def _unhealthy(_: Machine) -> None:
    raise NotHealthy("here: nginx-lb", "is starting after 1 s")


def _broken(_: Machine) -> None:
    raise TwinstackError("here: bridge br-app", "is not ours")


@pytest.mark.parametrize(("work", "stops"), [(_unhealthy, False), (_broken, True)])
def test_an_unhealthy_service_does_not_stop_the_other_machines(
    work: Callable[[Machine], None], stops: bool
):
    stop = Event()
    results, failures = fanout.each([HERE], work, stop)
    assert (results, set(failures)) == ({}, {"here"})
    assert stop.is_set() is stops
