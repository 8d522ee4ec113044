"""The tasks that watch: what cannot be is refused in one line, before anything is looked at."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import NoReturn, cast

import pytest

from front import conntrack, live
from tests.pure.test_tasks import FakeNet, _net, call
from twinstack.observe.connections import watching
from twinstack.observe.connections.report import Connections, Table
from twinstack.observe.connections.tracked import Pressure
from twinstack.observe.live import table
from twinstack.observe.live.feed import Feed

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


LOOK = Connections(
    "net", "flat", Table(3, 9, 3, 3, Pressure(0, 0, 0)), (), (), (), (), (), None, ()
)


@pytest.mark.parametrize(("looks", "code"), [([LOOK], 0), ([], 130)])
def test_ctrl_c_leaves_the_last_look_at_connections(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    looks: list[Connections], code: int,
) -> None:  # fmt: skip
    def watch(*_: object) -> Iterator[Connections]:
        yield from looks
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "watch", watch)
    assert call(conntrack.conntrack, seconds=9, json=True) == code
    told = capsys.readouterr()
    if looks:
        assert json.loads(told.out)["table"]["entries"] == 3
    else:
        assert (told.out, told.err) == ("", "stopped by Ctrl-C\n")


def test_ctrl_c_before_the_first_sample_is_no_verdict() -> None:
    class Nothing:
        ended = False

        def after(self, *_: object) -> NoReturn:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table.show(cast(Feed, Nothing()))
