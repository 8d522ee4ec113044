"""Items are compared fact by fact, and their JSON document is stable."""

from __future__ import annotations

import json

from tests.support.topology_cases import HOSTILE, hostile
from twinstack.observe.picture.model import compare, item
from twinstack.printable import dumps


def test_a_fact_of_one_side_alone_is_no_difference():
    found = compare([item("link", "a", mtu="1500")], [item("link", "a", outside="v1")])[0]
    assert (found.state, dict(found.facts)) == ("as declared", {"mtu": "1500", "outside": "v1"})


def test_items_are_as_declared_or_missing_or_undeclared_or_differ():
    declared = [item("link", name, mtu="1500") for name in ("same", "gone", "narrow")]
    observed = [
        item("link", "same", mtu="1500"),
        item("link", "narrow", mtu="1400"),
        item("link", "new", mtu="1500"),
        item("bridge", "br-new"),
    ]
    assert [(one.name, one.state, one.problem) for one in compare(declared, observed)] == [
        ("br-new", "undeclared", "undeclared"),
        ("same", "as declared", ""),
        ("gone", "missing", "missing"),
        ("narrow", "differs", "mtu is 1400, declared is 1500"),
        ("new", "undeclared", "undeclared"),
    ]


def test_the_document_is_stable_and_has_each_state():
    text = dumps(hostile(), indent=None)
    assert text == dumps(hostile(), indent=None)
    items = json.loads(text)["items"]
    assert {one["name"] for one in items if one["state"] == "undeclared"} == set(HOSTILE)
    assert set(items[0]) == {"kind", "name", "state", "facts", "differences"}
