"""History is by time, and bounded; a watcher reports a bug of its own and goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from twinstack.observe.live import feed
from twinstack.observe.live.model import Health, ReplicaSample, WorldSample

#: The rest of a replica's sample: nothing is known.
_NOTHING: Any = [None] * 9


def line(at: float, **states: Health) -> bytes:
    replicas = tuple(
        ReplicaSample(name, name, state, "", *_NOTHING) for name, state in states.items()
    )
    event = {"at": at, "kind": "death", "replica": "a", "text": "gone", "good": False}
    sample = WorldSample("net", at, bool(states), rate=at, replicas=replicas, events=(event,))
    return json.dumps(asdict(sample)).encode()


def history_of(*lines: bytes) -> dict[str, Any]:
    found = feed.Feed(("net",))
    for each in lines:
        found.take("net", each)
    return found.history()


def test_history_has_a_state_for_each_moment_and_a_dash_where_none_was_seen() -> None:
    history = history_of(line(1, a="up"), line(2), line(3.5, a="down", b="degraded"))
    assert history["worlds"]["net"] == {
        "at": [1, 2, 3.5],
        "rates": [1, 2, 3.5],
        "states": {"a": "u-d", "b": "--g"},
    }


def test_history_is_the_last_three_minutes_however_many_samples_they_had() -> None:
    history = history_of(*(line(at, a="up") for at in range(400)), line(399.5, a="down"))
    kept = history["worlds"]["net"]
    assert (kept["at"][0], kept["at"][-1], len(kept["at"])) == (220, 399.5, 181)
    assert kept["states"] == {"a": "u" * 180 + "d"}
    assert len(history["events"]) == feed.EVENTS_KEPT
    crowded = history_of(*(line(at / 10, a="up") for at in range(1000)))["worlds"]["net"]
    assert {len(column) for column in (crowded["at"], crowded["states"]["a"])} == {360}


def test_what_is_gone_for_three_minutes_is_forgotten() -> None:
    history = history_of(line(0, a="up", b="up"), *(line(at, a="up") for at in range(1, 200)))
    assert list(history["worlds"]["net"]["states"]) == ["a"]


def test_history_starts_over_when_the_clock_is_set_back() -> None:
    history = history_of(line(5000, a="up"), line(10, a="down"))
    assert history["worlds"]["net"] == {"at": [10], "rates": [10], "states": {"a": "d"}}


def test_the_hour_says_since_when_it_is_kept_and_why() -> None:
    found = feed.Feed(("net", "docker"))
    started = found.hour()
    assert started["why"] == "the dashboard was started"
    assert started["worlds"]["docker"]["fine"]["at"] == []
    for at in range(5000, 5021):
        found.take("net", line(at, a="up"))
    assert found.hour()["since"] == started["since"]
    assert found.hour()["worlds"]["net"]["means"]["rate"] == [5004.5, 5014.5]
    found.take("net", line(10, a="up"))
    assert (found.hour()["since"], found.hour()["why"]) == (10, "the clock was set back")


def test_a_reader_gets_each_mean_once() -> None:
    found = feed.Feed(("net", "docker"))
    for at in range(21):
        found.take("net", line(at, a="up"))
    closed = {name: world["closed"] for name, world in found.hour()["worlds"].items()}
    assert closed == {"net": 2, "docker": 0}
    assert found.means_after(closed) == {}
    for at in range(21, 45):
        found.take("net", line(at, a="up"))
    means = found.means_after(closed)
    assert list(means) == ["net"]
    assert (means["net"]["means"]["at"], means["net"]["closed"]) == ([20, 30], 4)


class _Enough(BaseException):
    """Ends the endless loop."""


def test_a_watcher_reports_its_own_failure_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def watch(name: str, _: object, emit: Callable[[WorldSample], None]) -> None:
        calls.append(name)
        if len(calls) == 1:
            raise KeyError("services")
        emit(WorldSample("net", 2.0, True))
        raise _Enough

    monkeypatch.setattr(feed, "watch", watch)
    monkeypatch.setattr(feed, "LOOK_AGAIN_S", 0.0)
    reading, writing = os.pipe()
    with pytest.raises(_Enough):
        feed._watch_forever("net", lambda: None, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as samples:
        failed, fine = (json.loads(line) for line in samples)
    assert not failed["up"]
    assert failed["trouble"].startswith("its watcher failed: KeyError('services') (test_feed.")
    assert fine["up"]


def test_a_watcher_without_a_reader_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(feed, "watch", _fail)
    with pytest.raises(BrokenPipeError):
        feed._watch_forever("net", lambda: None, writing)
    os.close(writing)


def _fail(*_: object, **__: object) -> None:
    raise KeyError("services")
