"""A report has the sections that have rows; the terminal shows them without control characters."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tests.support import craft
from tests.support.craft import Connection, Frame, Interface, ethernet
from tests.support.traffic_cases import example
from twinstack.observe.traffic.sections import sections, text


def test_sections_without_rows_are_left_out(tmp_path: Path):
    frame = Frame(ethernet(craft.arp(craft.NGINX, craft.HOST), 0x0806))
    report = craft.report(craft.pcap(tmp_path / "a.pcap", [frame]))
    assert [section.key for section in sections(report)] == [
        "pairs",
        "protocols",
        "talkers",
        "interfaces",
    ]


TITLES = (
    "Not declared, Between services, HTTP, TCP's health, Protocols, Top talkers, Interfaces, "
    "VXLAN carriers"
)


def test_an_interfaces_name_controls_no_terminal(tmp_path: Path):
    frames = Connection(craft.CLIENT, craft.NGINX, 80).open().frames()
    evil = "\x1b]0;pwned\x07" + "\x1b[31m" * 12
    report = craft.report(craft.pcapng(tmp_path / "a.pcapng", frames, [Interface(evil)]))
    words = text(replace(report, notes=(f"{evil}: 3 packets were cut",)))
    assert all(letter.isprintable() or letter == "\n" for letter in words)
    assert words.count("\\x1b]0;pwned\\x07") == 2


def test_the_terminal_shows_every_section_in_80_columns(tmp_path: Path):
    words = text(craft.report(example(tmp_path)))
    assert [title for title in TITLES.split(", ") if title not in words] == []
    assert [line for line in words.splitlines() if len(line) > 80] == []
    assert re.search(r"^product-service +product-service +TCP 5000 +60 .* NO$", words, re.M)


def test_a_report_of_nothing_says_so(tmp_path: Path):
    assert text(craft.report(craft.pcap(tmp_path / "a.pcap", []))).startswith("No packets.")
