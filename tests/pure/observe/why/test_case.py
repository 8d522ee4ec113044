"""How far a packet came is read from where it was seen."""

from __future__ import annotations

import pytest

from tests.support.why_evidence import PLACES, SILENT, seen_until, sound
from twinstack.observe.why.case import (
    BRIDGE,
    FAR_HOST_END,
    FAR_INSIDE,
    HOST_END,
    INSIDE,
    Case,
)


@pytest.mark.parametrize(
    ("place", "rank"),
    list(zip(PLACES, (INSIDE, HOST_END, BRIDGE, FAR_HOST_END, FAR_INSIDE), strict=True)),
)
def test_the_furthest_place_is_that_of_the_last_sighting(place: str, rank: int):
    assert Case(seen_until(sound(**SILENT), place)).furthest == rank


def test_both_ends_are_found_with_their_links_and_bridge():
    case = Case(sound())
    assert case.near is not None
    assert case.far is not None
    assert (case.near.host_link, case.far.host_link) == ("ve-order", "ve-postgres-db")
    assert case.near.has_address
    assert not case.routed


def test_the_declared_flow_is_found_and_an_undeclared_one_is_none():
    assert "order-service may connect to postgres-db" in Case(sound()).declared
