"""A page needs no network and no script, and is whole whatever the report holds."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from tests.support import craft
from tests.support.project import ROOT
from tests.support.traffic_cases import example
from twinstack.observe.traffic.html import page
from twinstack.observe.traffic.report import TrafficReport

_VOID = ("meta", "link", "img", "br", "path", "rect", "circle")


class PageParser(HTMLParser):
    """Collects what a page would fetch, and whether its tags match."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        links = [value or "" for name, value in attrs if name in ("src", "href")]
        self.fetched += [link for link in links if not link.startswith("#")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def rendered(report: TrafficReport) -> str:
    return page(report, ROOT / "templates")


def test_a_page_needs_no_network_and_no_script(tmp_path: Path):
    html = rendered(craft.report(example(tmp_path)))
    parser = PageParser()
    parser.feed(html)
    assert parser.fetched == []
    assert parser.open == []
    assert "script" not in parser.tags
    assert {"svg", "table", "title", "circle"} <= set(parser.tags)
    assert "url(" not in html
    assert "prefers-color-scheme:dark" in html
    assert "width=device-width" in html
    assert "&lt;script&gt;" in html


def test_a_page_of_a_live_report_names_no_file_that_is_gone(tmp_path: Path):
    html = rendered(replace(craft.report(example(tmp_path)), files=()))
    assert "<title>Traffic</title>" in html
    assert "captured as it passed, on 1 link</p>" in html


def test_the_words_below_the_curve_keep_apart_on_a_phone(tmp_path: Path):
    assert re.search(r"\.axis\{[^}]*gap:1em", rendered(craft.report(example(tmp_path))))


def test_a_page_of_nothing_is_a_page(tmp_path: Path):
    report = craft.report(craft.pcap(tmp_path / "a.pcap", []))
    assert report.started_ns is None
    assert "No packets." in rendered(report)
