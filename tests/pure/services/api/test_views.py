"""Query parameters are read as the table declares them."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlencode

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from services.api.operations import LIMIT
from services.api.schemas import PAGE_MAX
from services.api.views import query_number
from services.common.wsgi import ApiError

app = Flask(__name__)


def read(query: str) -> int | None:
    with app.test_request_context(f"/?{query}"):
        return query_number(LIMIT)


def test_a_number_within_its_limits_is_read() -> None:
    assert [read("limit=1"), read(f"limit={PAGE_MAX}"), read("limit=07"), read("limit=7.0")] == [
        *(1, PAGE_MAX, 7, 7)
    ]
    assert read("other=x") is None


@pytest.mark.parametrize(
    "text",
    ["0", "-1", str(PAGE_MAX + 1), "9" * 5000, "1.5", "", " 1", "+1", "1e1", "٣", "1\r\nX: y"],
)
def test_rubbish_is_a_400_that_names_the_parameter(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        read(urlencode({"limit": text}))
    assert (caught.value.status, caught.value.details) == (400, {"field": "limit"})
    assert text not in caught.value.message or len(text) < 4


def test_a_parameter_that_comes_twice_is_a_400() -> None:
    with pytest.raises(ApiError):
        read("limit=1&limit=2")


@given(st.text(max_size=12))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    with suppress(ApiError):
        assert read(urlencode({"limit": text}, errors="replace")) in range(1, PAGE_MAX + 1)
