"""Who comes, who stays and who goes, by the registry's word and the instances' own."""

from __future__ import annotations

import pytest

from services.api_gateway.membership import Listing, Registered, listings, members

P1, P2, P3 = (("p-1", "10.0.0.30", 5000), ("p-2", "10.0.0.31", 5000), ("p-3", "10.0.0.32", 5000))
ALL = {P1, P2, P3}


def decide(
    live: set[Registered],
    known: set[Registered],
    *,
    lapsed: set[Registered] = frozenset(),  # type: ignore[assignment]
    left: set[Registered] = frozenset(),  # type: ignore[assignment]
    silent: set[Registered] = frozenset(),  # type: ignore[assignment]
    orders: set[Registered] = frozenset(),  # type: ignore[assignment]
) -> set[Registered]:
    listed = {
        "product-service": Listing(frozenset(live), frozenset(lapsed), frozenset(left)),
        "order-service": Listing(frozenset(orders)),
    }
    return members("product-service", listed, known, lambda key: key in silent)


def test_who_registers_comes():
    assert decide({P1, P2}, {P1}) == {P1, P2}


def test_whose_lease_ran_out_stays_while_it_answers():
    assert decide({P1}, ALL, lapsed={P2, P3}) == ALL


def test_who_is_not_listed_stays_while_it_answers():
    assert decide({P1}, ALL) == ALL
    assert decide(set(), ALL) == ALL


def test_who_said_that_it_leaves_goes_though_it_still_answers():
    assert decide({P1}, ALL, left={P2, P3}) == {P1}
    assert decide(set(), ALL, left=ALL) == set()


def test_who_is_silent_goes_when_another_lease_is_running():
    assert decide({P1}, ALL, lapsed={P2}, silent={P2, P3}) == {P1}


def test_who_is_silent_stays_while_its_own_lease_is_running():
    assert decide({P1}, {P1}, silent={P1}) == {P1}


def test_nobody_goes_while_no_lease_is_running():
    assert decide(set(), {P1, P2}, lapsed={P2}, silent={P1, P2}) == {P1, P2}


def test_a_new_gateway_takes_lapsed_ones_if_there_are_no_others():
    assert decide(set(), set(), lapsed={P1, P2}) == {P1, P2}
    assert decide({P3}, set(), lapsed={P1, P2}) == {P3}


def test_an_address_where_another_lives_is_not_kept():
    moved = ("p-9", P2[1], P2[2])
    assert decide({P1, moved}, ALL) == {P1, moved, P3}
    assert decide({P1}, ALL, orders={("order-service", P3[1], P3[2])}) == {P1, P2}


def test_an_instance_that_moved_is_kept_at_both_places_until_the_old_one_is_silent():
    moved = ("p-1", "10.0.0.99", 5000)
    assert decide({moved}, {P1}) == {moved, P1}
    assert decide({moved}, {P1, moved}, silent={P1}) == {moved}


def test_an_answer_is_read_by_service():
    entry = {"instance": "p-1", "address": "10.0.0.30", "port": 5000, "expires_in_s": 3.2}
    found = listings({"services": {"p": [entry]}, "lapsed": {}, "left": {"o": [entry]}})
    assert found == {"p": Listing(live=frozenset({P1})), "o": Listing(left=frozenset({P1}))}


def test_an_older_registrys_answer_has_neither_lapsed_nor_left():
    assert listings({"services": {}, "registry": {"uptime_s": 3}}) == {}


@pytest.mark.parametrize(
    "document", [{}, {"services": {"p": [{}]}}, {"services": {"p": 3}}, {"services": ["p"]}]
)
def test_an_answer_that_makes_no_sense_is_an_error(document: dict[str, object]):
    with pytest.raises((KeyError, TypeError, ValueError)):
        listings(document)
