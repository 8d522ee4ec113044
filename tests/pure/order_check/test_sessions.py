"""A session's acts are its seed's, and every kind of act comes up."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from twinstack.order_check.sessions import Does, acts_of, orders_in


def test_a_session_is_its_seeds() -> None:
    assert acts_of(1, 5) == acts_of(1, 5)
    assert acts_of(1, 5) != acts_of(2, 5)


def test_every_act_comes_up_and_every_session_orders() -> None:
    sessions = [acts_of(1, number) for number in range(400)]
    counted = Counter(act.does for acts in sessions for act in acts)
    assert set(counted) == set(get_args(Does))
    assert all(orders_in(acts) for acts in sessions)
