"""A violation says what is not as promised, and shows it."""

from __future__ import annotations

from tests.support.order_cases import Story
from twinstack.order_check.violation import Violation, shown_by


def test_a_violation_is_a_sentence_and_below_it_what_shows_it() -> None:
    done = Story().did("cart-read", "unknown", status=500)
    assert str(Violation("stock", "it is negative")) == "stock: it is negative"
    assert str(shown_by("answer", "an internal error", done)).splitlines() == [
        "answer: an internal error",
        f"    {done}",
    ]


def test_a_violation_shows_a_dozen_operations_at_most() -> None:
    story = Story()
    made = shown_by("cart", "long", *(story.did("cart-read") for _ in range(20)))
    assert len(made.evidence) == 20
    assert len(str(made).splitlines()) == 13
