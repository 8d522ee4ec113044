"""A terminal's picture has its words, wraps as it does, and can be read in both schemes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from docs import screens, tables

SVG = "{http://www.w3.org/2000/svg}"
SESSION = f"{screens.prompt('invoke <x> & y')}\nstate \x1b[32mhealthy\x1b[0m\n{'0123456789' * 9}"


def words(svg: str) -> list[str]:
    """Give a picture's lines, by their height."""
    lines: dict[float, str] = {}
    for each in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        y = float(each.attrib["y"])
        lines[y] = lines.get(y, "") + "".join(each.itertext()).replace("\xa0", " ")
    return list(lines.values())


def test_a_line_goes_on_in_the_next_at_the_terminals_width():
    drawn = words(screens.screen(SESSION, "a title", "Recorded once."))
    assert drawn == [
        "$ invoke <x> & y",
        "state healthy",
        "0123456789" * 8,
        "0123456789",
        "Recorded once.",
    ]


def test_a_colour_is_another_one_in_the_dark_and_a_prompt_is_bold():
    svg = screens.screen(SESSION, "a title")
    light, _, dark = svg.rpartition("@media (prefers-color-scheme:dark)")
    rule = re.search(r'<text class="(t-r\d+)"[^>]*>healthy', svg)
    assert rule is not None
    for part, colour in ((light, "#1b6e20"), (dark, "#7ccf80")):
        assert f".{rule[1]} {{ fill: {colour} }}" in part
    bold = re.search(r'<text class="(t-r\d+)"[^>]*>\$&#160;', svg)
    assert bold is not None
    assert re.search(rf"\.{bold[1]} {{ fill: #\w+;font-weight: bold }}", light)


def test_a_command_of_several_lines_is_bold_in_all_of_them():
    svg = screens.screen(screens.prompt("first \\\n  second"), "a title")
    assert len(set(re.findall(r'<text class="(t-r\d+)"', svg))) == 1


def test_nothing_is_loaded():
    svg = screens.screen(SESSION, "a title")
    assert set(re.findall(r"url\((.)", svg)) == {"#"}
    assert "font-face" not in svg


@pytest.mark.parametrize("name", ["faq", "live", "logs", "tour"])
def test_a_kept_session_says_when_and_on_what_it_was_recorded(name: str):
    session, note = screens.recorded(name)
    assert session.count("$ ") >= 2
    assert re.fullmatch(r"Recorded \d{4}-\d\d-\d\d on \d+ cores \(.+\), .+\.", note)


def test_each_task_of_a_swarm_is_at_its_node():
    nodes = [
        {"name": f"host-{number}", "manager": number == 1, "address": f"10.88.0.1{number}"}
        for number in (1, 2)
    ]
    task = {"name": "redis-cache-1", "where": "host-2", "address": "172.30.0.5", "port": 6379}
    svg = tables.swarm({"nodes": nodes, "services": [task]}, "Recorded once.")
    placed = {
        "".join(each.itertext()): float(each.attrib["x"])
        for each in ElementTree.fromstring(svg).iter(f"{SVG}text")
    }
    assert placed["172.30.0.5:6379"] == placed["host-2, worker 10.88.0.12"]
    assert placed["host-1, manager 10.88.0.11"] < placed["172.30.0.5:6379"]
