"""Every family keeps Prometheus' own rules of naming."""

from __future__ import annotations

import pytest

from twinstack.observe.metrics.families import OWN, RELAYED, Family

EVERY = (*OWN, *RELAYED)


def test_no_name_is_given_twice() -> None:
    names = [family.name for family in EVERY]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("family", EVERY, ids=lambda family: family.name)
def test_only_a_counter_is_a_total_and_each_has_a_help(family: Family) -> None:
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert family.help.strip()
