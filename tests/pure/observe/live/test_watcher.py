"""A world that comes up or goes down while it is watched is one event; trouble is neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.bench_fakes import PLAN
from twinstack.errors import TwinstackError
from twinstack.observe.live import watcher
from twinstack.observe.live.model import WorldSample


class _Enough(BaseException):
    """Ends the endless loop."""


class Watched:
    """Emits two samples of a world that is up, then finds it gone; or fails after the first."""

    def __init__(self, name: Any, world: Any, find: Any, emit: Callable[[Any], None]) -> None:
        self._world, self._emit = world, emit

    def run(self) -> bool:
        self._emit(WorldSample("net", 1.0, True))
        if self._world == "fails":
            raise TwinstackError("docker", "does not answer")
        self._emit(WorldSample("net", 2.0, True, events=({"kind": "death"},)))
        return False


def emitted(monkeypatch: pytest.MonkeyPatch, *worlds: object) -> list[tuple[bool, list[str]]]:
    """Watch worlds found in turn; give of each sample whether it is up, and its events."""
    monkeypatch.setattr(watcher, "_Watch", Watched)
    monkeypatch.setattr(watcher, "LOOK_AGAIN_S", 0.0)
    left, found = list(worlds), []

    def find() -> Any:
        if not left:
            raise _Enough
        return left.pop(0)

    def emit(sample: WorldSample) -> None:
        found.append((sample.up, [event["kind"] for event in sample.events]))

    with pytest.raises(_Enough):
        watcher.watch("net", find, emit)
    return found


def test_a_world_that_goes_down_and_up_is_one_event_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert emitted(monkeypatch, "up", None, None, "up", None) == [
        (True, []),
        (True, ["death"]),
        (False, ["world down"]),
        (False, []),
        (False, []),
        (True, ["world up"]),
        (True, ["death"]),
        (False, ["world down"]),
        (False, []),
    ]


def test_the_first_look_is_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    assert emitted(monkeypatch, None, None) == [(False, []), (False, [])]


def test_a_world_that_is_unknown_has_not_gone_down(monkeypatch: pytest.MonkeyPatch) -> None:
    assert emitted(monkeypatch, "fails", "up", None) == [
        (True, []),
        (False, []),
        (True, []),
        (True, ["death"]),
        (False, ["world down"]),
        (False, []),
    ]


class SilentProber:
    """Nothing ends, and nobody answers."""

    def __init__(self, plan: Any) -> None:
        self.probes: dict[str, Any] = {}

    def follow(self, pids: Any) -> None:
        pass

    def round(self, wait_s: float) -> tuple[str, ...]:
        return ()

    def wait(self, until_s: float) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        pass


def test_replicas_that_are_added_are_noticed_although_no_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watcher, "Prober", SilentProber)
    monkeypatch.setattr(watcher, "ASK_AGAIN_S", 0.0)
    fewer = replace(PLAN, replicas=PLAN.replicas[1:])
    pids = {replica.name: 1 << 22 for replica in fewer.replicas}
    world: Any = SimpleNamespace(plan=fewer, main_pids=lambda: pids, cgroup_paths=dict)
    more: Any = SimpleNamespace(plan=PLAN)
    samples: list[WorldSample] = []
    assert watcher._Watch("net", world, lambda: more, samples.append).run()
    assert len(samples) < 3
