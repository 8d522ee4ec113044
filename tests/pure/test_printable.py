"""JSON holds only JSON."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

from twinstack.printable import dumps, plain


def test_no_figure_is_null() -> None:
    document = {"a": [float("nan"), 1.5, (float("inf"), {"b": float("-inf")})], "c": "NaN"}
    assert plain(document) == {"a": [None, 1.5, [None, {"b": None}]], "c": "NaN"}
    assert json.loads(dumps(document, indent=1))["a"][0] is None


def test_what_json_does_not_know_is_its_text() -> None:
    assert json.loads(dumps({"x": IPv4Address("10.0.0.1")}, indent=1)) == {"x": "10.0.0.1"}
