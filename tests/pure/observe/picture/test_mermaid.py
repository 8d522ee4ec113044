"""Every line of a flowchart is of Mermaid's grammar, whatever the names of links."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.topology_cases import topologies
from twinstack.observe.picture.mermaid import mermaid
from twinstack.observe.picture.model import UNDECLARED, item
from twinstack.observe.picture.svg import picture
from twinstack.observe.picture.text import text
from twinstack.printable import dumps

#: The lines that we write, by the grammar of Mermaid's flowcharts: a quoted text holds no quote.
_TEXT = r'"[^"`<>]*(?:<br>[^"`<>]*)*"'
_NODE = rf"\w+(?:\[\[{_TEXT}\]\]|\(\[{_TEXT}\]\)|\(\({_TEXT}\)\)|\[{_TEXT}\])"
_LINE = re.compile(
    rf"flowchart TB|subgraph \w+\[{_TEXT}\]|end|class [\w,]+ \w+|classDef \w+ [\w:#,\- ]+|{_NODE}"
    rf"|{_NODE} ~~~ {_NODE}|\w+ --- \w+|\w+ -\. {_TEXT} \.- \w+"
    rf"|\w+ (?:-->|-\.->|==>)\|{_TEXT}\| \w+"
)
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/:"), min_size=1, max_size=15
)


def malformed(drawn: str) -> list[str]:
    return [line for line in drawn.splitlines() if not _LINE.fullmatch(line.strip())]


@pytest.mark.parametrize("number", range(4))
def test_every_line_of_a_flowchart_is_of_the_grammar(number: int):
    drawn = mermaid([topologies()[number], topologies()[0]])
    assert malformed(drawn) == []
    words = drawn.split()
    assert words.count("subgraph") == words.count("end")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=NAMES)
def test_no_name_of_a_link_breaks_a_drawing(name: str):
    planned = topologies()[0]
    foreign = replace(item("link", name, bridge="br-app", outside=name), state=UNDECLARED)
    one = replace(planned, items=(*planned.items, foreign))
    assert all(letter.isprintable() or letter == "\n" for letter in text([one]))
    ElementTree.fromstring(picture([one]))
    assert malformed(mermaid([one])) == []
    dumps(one, indent=None)
