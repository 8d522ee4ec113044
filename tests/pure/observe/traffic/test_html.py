"""A page needs no network and no script, and is whole whatever the report holds."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

from tests.support import craft
from tests.support.project import ROOT
from tests.support.traffic_cases import example
from twinstack.observe.traffic import html
from twinstack.observe.traffic.html import page
from twinstack.observe.traffic.report import TimelineStep, TrafficReport

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


def test_the_ring_joins_services_and_marks_what_is_not_declared(tmp_path: Path):
    chart = html.ring(craft.report(example(tmp_path)))
    assert chart is not None
    drawing = ElementTree.fromstring(chart.svg)
    names = [text.text for text in drawing.iter("text")]
    assert {"nginx-lb", "api-gateway", "product-service"} <= set(names)
    bad = [path.findtext("title") or "" for path in drawing.iter("path") if path.get("class")]
    assert [words.partition(":")[0] for words in bad] == ["product-service → product-service"]


def test_services_past_a_number_are_left_out_and_counted(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(html, "_MAX_SERVICES", 2)
    chart = html.ring(craft.report(example(tmp_path)))
    assert chart is not None
    assert chart.svg.count("<circle") == 2
    assert "that exchanged least are left out" in chart.caption[0]


def test_the_timeline_has_a_step_for_each_moment(tmp_path: Path):
    report = craft.report(example(tmp_path))
    steps = (TimelineStep(0, 1, 100), TimelineStep(2, 0, 0), TimelineStep(4, 1, 50))
    chart = html.timeline(replace(report, moments=steps, step_s=2.0))
    assert chart is not None
    assert 'd="M0,100 L0,0.00 1,0.00 1,100.00 2,100.00 2,50.00 3,50.00 L3,100 Z"' in chart.svg
    assert chart.caption == ("0 s", "at most 50 B/s, in steps of 2 s", "6 s")


def test_a_report_of_nothing_has_no_charts(tmp_path: Path):
    report = craft.report(craft.pcap(tmp_path / "a.pcap", []))
    assert (html.ring(report), html.timeline(report)) == (None, None)
