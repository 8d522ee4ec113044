"""Following a world gives the recent events with each snapshot, and all of them with the last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from twinstack.errors import Missing
from twinstack.model.plan import HOST
from twinstack.observe.connections import snapshot
from twinstack.observe.connections.report import ConntrackEvents
from twinstack.world import LocalWorld

EVENTS = (ConntrackEvents(2.0, 3, 1, 0), ConntrackEvents(1.0, 4, 4, 2))


def world(*replicas: str) -> LocalWorld:
    namespaces = dict.fromkeys((HOST, *replicas))
    absence = Missing("net world", "is not up", remedy='run "invoke net.up"')
    made = SimpleNamespace(name="net", namespaces=lambda: namespaces, absence=lambda: absence)
    return cast(LocalWorld, made)


def test_the_last_snapshot_has_the_events_of_the_whole_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter((0.0, 0.0, 0.0, 0.0, 2.0, 2.0))  # the second snapshot is the last
    left = list(EVENTS)
    waited = []

    def receive(seconds: float) -> ConntrackEvents:
        waited.append(seconds)
        return left.pop(0)

    @contextmanager
    def counting_events(_: object) -> Iterator[Any]:
        yield SimpleNamespace(receive=receive)

    monkeypatch.setattr(snapshot, "counting_events", counting_events)
    monkeypatch.setattr(snapshot, "take", lambda _, events: events)
    monkeypatch.setattr(snapshot, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    one: Any = world("nginx-lb")
    taken: list[Any] = list(snapshot.follow((one, one), 3.0))
    both = EVENTS[0] + EVENTS[1]
    assert taken == [(EVENTS[0], EVENTS[0]), (both, both)]
    assert waited == [2.0, 1.0]


def test_a_world_without_a_namespace_is_not_up() -> None:
    with pytest.raises(Missing, match=r'run "invoke net\.up"'):
        snapshot.take(world())
