"""What becomes true ends a wait; what does not is late."""

from __future__ import annotations

from twinstack.linux.waiting import until


def test_a_wait_ends_as_soon_as_it_is_true() -> None:
    states = iter([0, "", [1]])
    assert until(lambda: next(states), within_s=60, every_s=0)
    assert next(states, "none left") == "none left"


def test_what_stays_untrue_is_late_and_is_looked_at_once_at_least() -> None:
    assert not until(lambda: False, within_s=0, every_s=0)
    assert until(lambda: True, within_s=-1)
