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


def test_the_worlds_are_below_each_other_and_share_the_axis():
    root = ElementTree.fromstring(waterfall([journey(), journey("docker")]))
    one = ElementTree.fromstring(waterfall([journey()]))
    sizes = [list(map(float, each.attrib["viewBox"].split()[2:])) for each in (one, root)]
    assert sizes[1] == [sizes[0][0], 2 * sizes[0][1]]
    bars = [
        bar.attrib for bar in root.iter("{http://www.w3.org/2000/svg}rect") if "y" in bar.attrib
    ]
    half = len(bars) // 2
    for net, docker in zip(bars[:half], bars[half:], strict=True):
        assert (net["x"], net["width"]) == (docker["x"], docker["width"])
        assert float(docker["y"]) == float(net["y"]) + sizes[0][1]
