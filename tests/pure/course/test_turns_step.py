"""Replicas that answered are distinguished from those that did not."""

from __future__ import annotations

from twinstack.course.turns_step import Turns

TURNS = Turns("http://10.0.0.10/api/products", ("product-service", "product-service-2"))


def difference(*answers: str) -> str | None:
    lines = (f"x-served-by: {answer}\r\n" for answer in answers)
    return TURNS.difference({TURNS.looks[0]: "".join(lines)})


def test_replicas_that_all_answered_take_turns() -> None:
    assert difference("product-service", "product-service-2", "product-service") is None


def test_who_answered_nothing_is_named() -> None:
    assert difference("product-service") == "product-service-2 answered none of 6 requests"
    assert difference() == "product-service, product-service-2 answered none of 6 requests"
