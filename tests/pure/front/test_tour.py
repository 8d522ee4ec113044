"""The tour starts where it can be shown, and says in words where it cannot."""

from __future__ import annotations

import io

import pytest

from front import tour
from tests.support.tasks import FakeNet, call
from twinstack.errors import NOT_SO, NOTHING, WRONG_USE


class Terminal(io.StringIO):
    """A terminal on which somebody types."""

    def isatty(self) -> bool:
        return True


def test_a_world_that_is_not_whole_is_not_shown(
    net: FakeNet, capsys: pytest.CaptureFixture[str]
) -> None:
    net.state = "unhealthy"
    assert call(tour.tour, yes=True) == NOT_SO
    assert 'run "invoke net.up"' in capsys.readouterr().err
    assert net.did == []


def test_nobody_is_asked_where_there_is_no_terminal(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert call(tour.tour) == WRONG_USE
    assert "add --yes" in capsys.readouterr().err


@pytest.mark.parametrize("typed", ["n\n", "q\n", ""])
def test_a_world_that_the_user_does_not_want_up_is_not_brought_up(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    net.state = "absent"
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert call(tour.tour) == NOTHING
    assert net.did == []
