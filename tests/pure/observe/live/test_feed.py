"""A watcher reports a bug of its own and goes on; it ends when nobody reads its samples."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from twinstack.observe.live import feed
from twinstack.observe.live.model import WorldSample


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
