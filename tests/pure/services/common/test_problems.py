"""Errors are problem documents that keep the members they had."""

from __future__ import annotations

from services.common.problems import KINDS, problem


def test_a_problem_has_the_members_of_the_rfc_and_those_of_before() -> None:
    made = problem(409, "insufficient_stock", "not enough", "id-1", items=[{"product_id": 1}])
    assert made == {
        "type": "/docs#insufficient_stock",
        "title": KINDS["insufficient_stock"].title,
        "status": 409,
        "detail": "not enough",
        "instance": "urn:request:id-1",
        "error": "insufficient_stock",
        "message": "not enough",
        "items": [{"product_id": 1}],
        "request_id": "id-1",
    }


def test_a_problem_of_no_kind_of_ours_is_about_blank_with_the_statuss_phrase() -> None:
    made = problem(418, "i_am_a_teapot", "no coffee", "id")
    assert (made["type"], made["title"]) == ("about:blank", "I'm a Teapot")


def test_no_title_says_what_one_occurrence_is_about() -> None:
    assert all(kind.title[0].isupper() and kind.title[-1] != "." for kind in KINDS.values())
    assert all(400 <= status < 600 for kind in KINDS.values() for status in kind.statuses)
