"""What a browser makes of answers."""

from __future__ import annotations

import pytest

from tests.support.order_cases import ORDER
from twinstack.order_check.browser import Reply, session_in, shown_in
from twinstack.order_check.history import Shown, ShownLine


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "ok"),
        (204, "ok"),
        (409, "refused"),
        (429, "unknown"),
        (503, "unknown"),
        (0, "unknown"),
    ],
)
def test_a_status_says_what_became_of_the_request(status: int, outcome: str) -> None:
    assert Reply(status).outcome == outcome


def test_answers_are_read_by_their_kind() -> None:
    line = ShownLine(1, 3, 100)
    product = {"id": 1, "stock": 3, "price_cents": 100}
    assert shown_in("order", ORDER) == Shown((line,), 300, "a")
    assert shown_in("cart-read", ORDER) == Shown((line,), 300)
    assert shown_in("product-read", product) == Shown((line,))
    assert shown_in("product-read", {"products": [product]}) == Shown((line,))
    assert shown_in("order", None) is None
    assert shown_in("order", {"items": 3}) is None


def test_a_session_is_the_cookie_that_an_answer_sets() -> None:
    assert session_in(Reply(200, {"set-cookie": "session=abc; Max-Age=9; HttpOnly"})) == "abc"
    assert session_in(Reply(200, {"set-cookie": "other=abc"})) == ""
    assert session_in(Reply(0)) == ""
