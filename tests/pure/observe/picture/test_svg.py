"""The picture is well-formed, shows every name, and says in words what is wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.support.topology_cases import FLAT, as_planned, topologies, topology, with_host_links
from twinstack.observe.picture.svg import picture
from twinstack.observe.svg import MARGIN, WIDTH
from twinstack.printable import visible


@pytest.mark.parametrize("number", range(4))
def test_the_picture_is_well_formed_and_shows_every_name(number: int):
    one = topologies()[number]
    root = ElementTree.fromstring(picture([one]))
    words = "\n".join(node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text"))
    for item in (*one.of("bridge"), *one.of("replica")):
        assert visible(item.name) in words
    assert "prefers-color-scheme:dark" in picture([one])
    assert root.find(".//{http://www.w3.org/2000/svg}script") is None
    if one.wrong:
        assert "undeclared" in words or "missing" in words  # in words, not by colour alone


def test_the_longest_name_of_a_link_crosses_no_bridge_that_is_carried_on():
    longest = "ve-produc-30d37"  # 15 letters: as many as a link may have
    network = as_planned(FLAT)
    names = {"ve-nginx-lb": longest}
    links = [replace(one, name=names.get(one.name, one.name)) for one in network.host.links]
    drawn = picture([topology(FLAT, with_host_links(network, *links))])
    found = re.findall(rf'x="([\d.]+)" y="[\d.]+" text-anchor="(\w+)">{longest}<', drawn)
    assert len(found) >= 1
    for x, anchor in found:
        left = float(x) - (6.4 * len(longest) if anchor == "end" else 0)  # letters of 11 pixels
        assert left > MARGIN + 3
        assert left + 6.4 * len(longest) < WIDTH
