"""The picture of an explanation: a mark where it stops, nothing reached behind that."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tests.support.why_evidence import SILENT, seen_until, sound
from twinstack.observe.why.explanation import explain
from twinstack.observe.why.picture import picture


def marks(drawn: str) -> list[str]:
    return [
        element.get("class", "")
        for element in ET.fromstring(drawn).iter()
        if element.tag.endswith("rect") and element.get("rx") == "6"
    ]


def test_a_way_that_is_sound_is_green_from_end_to_end():
    assert set(marks(picture([explain(sound())]))) == {"passed"}


def test_what_was_not_reached_is_no_passed_place():
    drawn = marks(picture([explain(seen_until(sound(**SILENT), "ve-order"))]))
    assert drawn[:3] == ["passed"] * 3
    assert "passed" not in drawn[3:]


def test_what_a_service_says_cannot_break_the_picture():
    said = "\x1b[31m\x00 <b>no database"
    drawn = picture([explain(sound(status=503, said=said))])
    assert "no database" in "".join(ET.fromstring(drawn).itertext())
