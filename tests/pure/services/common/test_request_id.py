"""A request id: kept where it is sane, made where it is not."""

from __future__ import annotations

import pytest

from services.common.request_id import RequestIds


def test_a_sane_request_id_is_kept() -> None:
    assert RequestIds().accept("abc-123.X:7") == "abc-123.X:7"


@pytest.mark.parametrize("given_id", [None, "", "a b", 'a"b', "x" * 129, "a\nb", "\u00e9", "-a"])
def test_any_other_request_id_is_replaced(given_id: str | None) -> None:
    assert RequestIds().accept(given_id) != given_id


def test_no_two_made_ids_are_alike() -> None:
    first, second = RequestIds(), RequestIds()
    made = [ids.make() for _ in range(500) for ids in (first, second)]
    assert len(set(made)) == 1000
