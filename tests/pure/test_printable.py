"""JSON holds only JSON."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest

from twinstack.printable import counted, dumps, plain


def test_no_figure_is_null() -> None:
    document = {"a": [float("nan"), 1.5, (float("inf"), {"b": float("-inf")})], "c": "NaN"}
    assert plain(document) == {"a": [None, 1.5, [None, {"b": None}]], "c": "NaN"}
    assert json.loads(dumps(document, indent=1))["a"][0] is None


@pytest.mark.parametrize(
    ("number", "words", "expected"),
    [
        (1, ("packet",), "1 packet"),
        (0, ("packet",), "0 packets"),
        (1234, ("packet",), "1,234 packets"),
        (1, ("packet is", "packets are"), "1 packet is"),
        (2, ("packet is", "packets are"), "2 packets are"),
    ],
)
def test_a_number_has_its_noun_in_the_right_form(
    number: int, words: tuple[str, ...], expected: str
) -> None:
    assert counted(number, *words) == expected


def test_what_json_does_not_know_is_its_text() -> None:
    assert json.loads(dumps({"x": IPv4Address("10.0.0.1")}, indent=1)) == {"x": "10.0.0.1"}
