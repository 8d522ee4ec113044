"""A world that comes or goes while it is watched is told as such, once; trouble is neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from twinstack.errors import TwinstackError
from twinstack.observe.live import watcher
from twinstack.observe.live.documents import WorldSample


class Watched:
    """Tells two samples of a world that is up, and finds it gone; or fails after the first."""

    def __init__(self, name: Any, world: Any, give: Any, emit: Callable[[Any], None]) -> None:
        self._world, self._emit = world, emit

    def run(self, stop: Callable[[], bool]) -> bool:
        self._emit(WorldSample("net", 1.0, True))
        if self._world == "fails":
            raise TwinstackError("docker", "does not answer")
        self._emit(WorldSample("net", 2.0, True, events=({"kind": "death"},)))
        return False


def told(monkeypatch: pytest.MonkeyPatch, *given: object) -> list[tuple[bool, list[str]]]:
    """Watch what is given in turn, and give of each sample: up or not, and what happened."""
    monkeypatch.setattr(watcher, "_Watch", Watched)
    monkeypatch.setattr(watcher, "LOOK_AGAIN_S", 0.0)
    left, found = list(given), []

    def give() -> Any:
        return left.pop(0)

    def emit(sample: WorldSample) -> None:
        found.append((sample.up, [one["kind"] for one in sample.events]))

    watcher.watch("net", give, emit, stop=lambda: not left)
    return found


def test_a_world_that_goes_and_comes_is_told_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, "up", None, None, "up", None, None) == [
        (True, []),
        (True, ["death"]),
        (False, ["gone"]),
        (False, []),
        (False, []),
        (True, ["came"]),
        (True, ["death"]),
        (False, ["gone"]),
        (False, []),
    ]


def test_a_world_that_is_found_so_has_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, None, None, None) == [(False, []), (False, [])]


def test_a_world_that_cannot_be_told_has_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, "fails", "up", None, None) == [
        (True, []),
        (False, []),
        (True, []),
        (True, ["death"]),
        (False, ["gone"]),
        (False, []),
    ]
