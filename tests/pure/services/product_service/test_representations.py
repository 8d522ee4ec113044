"""A body's tag is the same wherever and whenever it is made; pages hold each product once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wsgi import dump
from services.product_service.representations import (
    Representation,
    Representations,
    is_held,
    page,
    represent,
)

TAG = '"0123abcd"'


def whole(ids: list[int]) -> Representation:
    products = [{"id": number} for number in ids]
    body = dump({"products": products, "count": len(products), "currency": "EUR"})
    return Representations().of(b"list", body)


def test_the_same_body_has_the_same_tag_and_another_has_another() -> None:
    here, there = Representations(), Representations()
    assert here.of(b"k", b"{}").tag == there.of(b"k", b"{}").tag
    assert here.of(b"k", b"{}").tag != here.of(b"k", b"[]").tag


def test_a_body_that_has_not_changed_is_not_made_again() -> None:
    made = Representations()
    first = made.of(b"k", b"{}")
    assert made.of(b"k", bytes(bytearray(b"{}"))) is first
    assert made.of(b"k", b"[]") is not first


@pytest.mark.parametrize(
    "given_tags",
    [TAG, f"W/{TAG}", f'"a", {TAG}', f'"a",W/"b" ,W/{TAG}', "*", f'"a,b",{TAG}', f"{TAG},junk"],
)
def test_a_tag_among_others_is_held(given_tags: str) -> None:
    assert is_held(TAG, given_tags)


@pytest.mark.parametrize(
    "given_tags", ["", "0123abcd", '"0123abc"', "W/", '"a","b"', "**", "w/" + TAG, f"x{TAG}", ",,,"]
)
def test_what_does_not_name_the_tag_does_not_hold_it(given_tags: str) -> None:
    assert not is_held(TAG, given_tags)


def test_a_304_has_the_tag_and_no_body_nor_its_headers() -> None:
    status, headers, body = represent(b"{}", TAG).answered("hit", TAG)
    assert (status, body) == ("304 Not Modified", b"")
    assert dict(headers) == {"ETag": TAG, "Cache-Control": "no-cache", "X-Cache": "hit"}


@given(
    st.lists(st.integers(1, 200), unique=True, max_size=30).map(sorted),
    st.integers(1, 40),
)
def test_following_next_gives_each_product_once(ids: list[int], limit: int) -> None:
    seen: list[int] = []
    tags: list[str] = []
    cursor: int | None = None
    while True:
        made = page(whole(ids), "/api/products", limit, cursor)
        content = json.loads(made.body)
        assert content["count"] == len(content["products"]) <= limit
        seen += [product["id"] for product in content["products"]]
        tags.append(made.tag)
        links = dict(made.whole)["Link"]
        assert ('rel="next"' in links) == (content["next"] is not None)
        if content["next"] is None:
            break
        assert f"<{content['next']}>" in links
        cursor = int(content["next"].rpartition("=")[2])
    assert seen == ids
    assert len(set(tags)) == len(tags)


def test_a_cursor_past_the_end_is_an_empty_last_page() -> None:
    content = json.loads(page(whole([1, 2]), "/api/products", None, 99).body)
    assert (content["products"], content["count"], content["next"]) == ([], 0, None)
