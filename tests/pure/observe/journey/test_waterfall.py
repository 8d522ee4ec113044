"""The picture of journeys is whole SVG."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.support.journey_cases import journey
from twinstack.observe.journey.waterfall import waterfall


def test_the_picture_is_whole_and_says_what_it_shows():
    picture = waterfall([journey(), journey("docker")])
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert picture.count("<rect") == 1 + 2 * (3 + len(journey().steps))
    assert "<title>One request's way: 120 µs in the net world and" in picture
    assert "10.0.0.1:40000 → 10.0.0.10:80" in picture
