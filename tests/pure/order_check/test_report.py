"""A report says what was found, and passes only when nothing was and all recovered in time."""

from __future__ import annotations

import pytest

from tests.support.order_cases import Story, shown
from twinstack.order_check.history import CausedFault
from twinstack.order_check.report import report


def test_a_good_history_passes() -> None:
    story = Story()
    story.ordered("k", ((1, 1),), "a")
    made = report(story.history())
    assert made.passed
    assert made.document()["lost"] == 0
    assert "1 keyed orders" in made.text()


def test_a_lost_order_fails_and_is_shown() -> None:
    story = Story()
    story.ordered("k", ((1, 1),), "a")
    story.orders.clear()
    made = report(story.history())
    assert not made.passed
    assert made.document()["lost"] == 1
    assert "lost: order a was acknowledged" in made.text()


@pytest.mark.parametrize(("ended_s", "passed"), [(3.9, True), (4.1, False)])
def test_a_recovery_that_takes_too_long_fails(ended_s: float, passed: bool) -> None:
    story = Story(struck=(CausedFault("kill", "api-gateway", 1.0, 1.0, 1.4),))
    story.did("cart-read", "unknown", at_s=1.5, ended_s=ended_s)
    story.did("cart-read", at_s=9.0, shown=shown(()))
    made = report(story.history())
    assert made.passed is passed
    assert made.longest_s == {"kill": pytest.approx(ended_s - 1.0)}
    assert ("slow" in made.text()) is not passed
