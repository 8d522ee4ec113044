"""Facts start from what a kernel says of a thing that nobody has touched."""

from __future__ import annotations

import dataclasses

import pytest

from twinstack.linux.links import LinkFacts
from twinstack.namespaces import facts


@pytest.mark.parametrize(
    "kind", [facts.NetFacts, LinkFacts, facts.NamespaceFacts, facts.ProgramFacts]
)
def test_facts_are_frozen(kind: type):
    assert dataclasses.fields(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert not hasattr(kind, "__dict__") or "__slots__" in vars(kind)


def test_an_unknown_link_is_not_taken_for_a_finished_one():
    link = LinkFacts("a", 1, None, None, mtu=1500, up=False, master=None)
    assert link.autoconfigures_ipv6
    assert link.addresses == frozenset()
    assert facts.NamespaceFacts("a", 1, None).default_gateway is None
    assert not facts.NetFacts().owned.supervisor
