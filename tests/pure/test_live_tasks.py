"""The tasks that watch: what cannot be is refused in one line, before anything is looked at."""

from __future__ import annotations

import os

import pytest

from front import live
from tests.pure.test_tasks import FakeNet, _net, call

__all__ = ["_net"]


@pytest.mark.parametrize(
    ("task", "words", "code", "said"),
    [
        (live.health, {"world": "mars"}, 1, "--world: cannot be mars: it is net, docker or both"),
        (live.dashboard, {"port": 70_000}, 1, "--port: cannot be 70000: it is 0 to 65535"),
        (live.dashboard, {"port": -1}, 1, "--port: cannot be -1: it is a port"),
    ],
)
def test_what_cannot_be_is_refused_first(
    net: FakeNet, task: object, words: dict[str, object], code: int, said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert call(task, **words) == code
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert len(told.splitlines()) == 1


def test_a_user_who_is_not_root_is_told(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert call(live.health, once=True) == 2  # nothing could be checked
    assert call(live.dashboard) == 1
    assert capsys.readouterr().err.count("this needs root; run it with sudo") == 2
