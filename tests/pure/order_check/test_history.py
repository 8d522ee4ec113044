"""A history is kept whole: what is written is read again."""

from __future__ import annotations

from dataclasses import replace

from tests.support.order_cases import Story
from twinstack.order_check.history import JSON, CausedFault


def test_a_history_is_read_as_it_was_written() -> None:
    story = Story(struck=(CausedFault("kill", "redis-cache", 1.0, 1.0, 1.5, 5.0, store=True),))
    story.ordered("k", ((1, 2),), "a")
    story.did("product-read", product_id=1, shown=None, outcome="unknown", error="TimeoutError")
    story.did("cart-read", request_id="r")
    history = story.history(seconds=4.5, calm_s=3.0)
    assert JSON.validate_json(JSON.dump_json(history)) == history


def test_orders_of_an_earlier_run_are_none_of_this_one() -> None:
    story = Story()
    story.ordered("k", ((1, 2),), "a")
    history = story.history()
    assert history.new_orders == story.orders
    history = replace(history, before=replace(history.before, orders=dict(story.orders)))
    assert history.new_orders == {}


def test_an_operation_says_who_did_what_and_how_it_ended() -> None:
    done = Story().did("order", "unknown", key="k", lines=((1, 2),), error="TimeoutError")
    assert "session 1: order 2×1 key k: unknown 0 TimeoutError" in str(done)
