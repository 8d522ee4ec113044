"""What the order service takes from a client, and how it says no."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.schemas import LINES_MAX, QUANTITY_MAX
from services.common.wsgi import ApiError
from services.order_service.orders import check_lines
from services.order_service.requests import (
    digest,
    parse_form,
    parse_idempotency_key,
    parse_items,
    parse_order,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def test_lines_of_the_same_product_add_up_in_the_order_of_ids() -> None:
    items = [{"product_id": product, "quantity": 2} for product in (9, 1, 9)]
    assert list(parse_items({"items": items}).items()) == [(1, 2), (9, 4)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": {}}, "items"),
        ({"items": [[]]}, "items[0]"),
        ({"items": [{"quantity": 1}]}, "items[0].product_id"),
        ({"items": [{"product_id": 1}]}, "items[0].quantity"),
        ({"items": [{"product_id": True, "quantity": 1}]}, "items[0].product_id"),
        ({"items": [{"product_id": 1, "quantity": 0}]}, "items[0].quantity"),
        ({"items": [{"product_id": 1, "quantity": -3}]}, "items[0].quantity"),
        ({"items": [{"product_id": 1, "quantity": 1.5}]}, "items[0].quantity"),
        ({"items": [{"product_id": 1, "quantity": QUANTITY_MAX + 1}]}, "items[0].quantity"),
        ({"items": [{"product_id": 1, "quantity": 1}] * (LINES_MAX + 1)}, "items"),
        ({"items": [{"product_id": 1, "quantity": 1, "price": 1}]}, "items[0].price"),
        ({"from_cart": False}, "from_cart"),
        ({"from_cart": True, "items": []}, "items"),
    ],
)
def test_a_bad_order_is_a_400_that_names_the_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_order(body)
    assert caught.value.status == 400
    assert caught.value.message.startswith(field)


def test_lines_that_add_up_to_too_many_are_a_422_that_names_the_field() -> None:
    with pytest.raises(ApiError) as caught:
        parse_order({"items": [{"product_id": 1, "quantity": QUANTITY_MAX}] * 2})
    assert (caught.value.status, caught.value.details) == (422, {"field": "items[1].quantity"})


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=12)))
def test_of_a_form_whole_numbers_are_read_and_nothing_else(form: dict[str, str]) -> None:
    given_form = {**form, "good": "12.0", "bad": "1e1", "long": "1" * 11, "other": "٣"}
    assert parse_form(given_form, "good", "bad", "long", "other", "absent") == {"good": 12}


@given(st.dictionaries(st.sampled_from(["items", "from_cart", "x"]), json_values))
def test_whatever_json_comes_an_order_is_read_or_refused(body: dict[str, Any]) -> None:
    status, lines = 201, None
    try:
        lines = parse_order(body)
    except ApiError as error:
        status = error.status
    assert status in {201, 400, 422}
    assert all(0 < quantity <= QUANTITY_MAX for quantity in (lines or {}).values())


def test_the_same_lines_have_one_digest_in_each_session() -> None:
    given = digest({1: 2, 3: 4}, "a")
    assert given == digest({3: 4, 1: 2}, "a")
    others = (({1: 2, 3: 5}, "a"), ({1: 2, 3: 4}, "b"), (None, "a"), (None, "b"))
    assert len({given, *(digest(lines, session) for lines, session in others)}) == 5


@pytest.mark.parametrize("key", ["", " ", "x" * 129, "a b", "caf\u00e9", "a\n"])
def test_a_strange_idempotency_key_is_refused(key: str) -> None:
    with pytest.raises(ApiError):
        parse_idempotency_key(key)


def test_an_unknown_product_is_said_before_the_stock() -> None:
    with pytest.raises(ApiError) as caught:
        check_lines({1: 5, 99: 1}, {1: 0})
    assert (caught.value.status, caught.value.details) == (422, {"product_ids": [99]})


def test_too_little_stock_is_a_409_that_says_how_much_there_is() -> None:
    with pytest.raises(ApiError) as caught:
        check_lines({1: 5, 2: 1}, {1: 4, 2: 1})
    short = [{"product_id": 1, "wanted": 5, "in_stock": 4}]
    assert (caught.value.status, caught.value.details) == (409, {"items": short})
