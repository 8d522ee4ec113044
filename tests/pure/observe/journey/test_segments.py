"""Sightings are joined into segments and connections; only whole segments are sightings."""

from __future__ import annotations

import pytest

from tests.support import craft
from tests.support.journey_cases import CLIENT, EDGE, back, whole
from twinstack.observe.journey.segments import connections, decode, handshake, segments


@pytest.mark.parametrize("cut", [0, 20, 40, 53])
def test_a_frame_that_is_cut_is_no_sighting(cut: int):
    frame = craft.ethernet(craft.ipv4(craft.NGINX, craft.REDIS, 6, craft.tcp(1, 2, craft.ACK)))
    assert decode("x", 0, frame, len(frame)) is not None
    assert decode("x", 0, frame[:cut], len(frame)) is None


def test_a_segment_has_all_its_sightings_in_the_order_of_time():
    first = segments(whole().sightings)[0]
    assert [sighting.place for sighting in first.sightings] == ["br", "eth-n"]
    assert first.sender == EDGE[:2]


def test_a_connection_has_all_forms_of_its_ends():
    first, *others = connections(segments(whole().sightings))
    ends = {sighting.ends for segment in first for sighting in segment.sightings}
    assert ends == {EDGE, back(EDGE), back(CLIENT)}
    assert len(others) == 3
    opening = handshake(first)
    assert opening is not None
    assert [segment.first.flags for segment in opening] == [craft.SYN, craft.SYN | craft.ACK]
    assert handshake(others[0]) is None
