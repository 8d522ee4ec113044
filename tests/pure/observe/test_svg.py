"""The elements of our pictures: escaped, parsed by an XML reader, placed where they were asked."""

from __future__ import annotations

from xml.etree import ElementTree

from twinstack.observe.svg import (
    Box,
    arrow,
    curve,
    document,
    element,
    line,
    rect,
    text,
    text_in,
    tooltip,
)

SVG = "{http://www.w3.org/2000/svg}"


def test_a_document_is_well_formed_and_announces_its_title():
    box = Box(10, 20)
    parts = [
        rect(box, "box", tooltip("a tooltip")),
        *text_in(box, ["name", "more"]),
        arrow("M0 0L1 1"),
    ]
    root = ElementTree.fromstring(document(parts, "a < b", 100, width=50))
    assert root.attrib["viewBox"] == "0 0 50 100"
    assert [child.text for child in root if child.tag == f"{SVG}title"] == ["a < b"]
    assert [(child.text, child.get("class")) for child in root if child.tag == f"{SVG}text"] == [
        ("name", "name"),
        ("more", "dim"),
    ]


def test_text_and_attributes_are_escaped():
    assert text(1, 2, "<&>") == '<text x="1" y="2" text-anchor="start">&lt;&amp;&gt;</text>'
    assert element("path", kind='"x', d="") == '<path class="&quot;x"/>'


def test_numbers_are_short_and_attributes_named_as_svg_names_them():
    assert line(0, 1.25, 2.0, 3.96, "wire") == '<line class="wire" x1="0" x2="2" y1="1.2" y2="4"/>'
    assert element("text", "x", text_anchor="end") == '<text text-anchor="end">x</text>'


def test_a_curve_bends_half_way_or_where_it_is_asked_to():
    assert curve(0, 0, 10, 20) == "M0 0C0 10 10 10 10 20"
    assert curve(0, 0, 10, 0, -8) == "M0 0C0 -8 10 -8 10 0"
