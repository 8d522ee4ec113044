"""A value that cannot be is one line before anything is measured; JSON holds only JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from bench.engine import bounds
from twinstack.errors import TwinstackError
from twinstack.printable import dumps, plain


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda: bounds.rounds(5), "--rounds: cannot be 5: an interval needs 6 rounds at least"),
        (lambda: bounds.rounds(1_001), "--rounds: cannot be 1001: it is 6 to 1000"),
        (lambda: bounds.load(49, 50), "--requests: cannot be 49: 50 at once need as many"),
        (lambda: bounds.load(0, 1), "--requests: cannot be 0"),
        (lambda: bounds.load(9, 0), "--concurrency: cannot be 0"),
        (lambda: bounds.timeout(0), "--timeout: cannot be 0"),
        (lambda: bounds.timeout(-3), "--timeout: cannot be -3"),
        (lambda: bounds.lines(0), "--lines: cannot be 0"),
        (lambda: bounds.times(0), "--times: cannot be 0"),
    ],
)
def test_value_out_of_bounds_is_named_with_its_option(
    ask: Callable[[], None], expected: str
) -> None:
    with pytest.raises(TwinstackError, match=expected) as told:
        ask()
    assert "\n" not in str(told.value)


def test_least_values_may_be() -> None:
    bounds.rounds(6)
    bounds.load(50, 50)
    bounds.timeout(1)
    bounds.lines(1)
    bounds.times(1)


def test_no_figure_is_null() -> None:
    document = {"a": [float("nan"), 1.5, (float("inf"), {"b": float("-inf")})], "c": "NaN"}
    assert plain(document) == {"a": [None, 1.5, [None, {"b": None}]], "c": "NaN"}
    assert json.loads(dumps(document, indent=1))["a"][0] is None


def test_what_json_does_not_know_is_its_text() -> None:
    assert json.loads(dumps({"x": IPv4Address("10.0.0.1")}, indent=1)) == {"x": "10.0.0.1"}
