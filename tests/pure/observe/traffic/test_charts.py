"""The page's charts are SVG that shows who exchanged most, and when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from tests.support import craft
from tests.support.traffic_cases import example
from twinstack.observe.traffic import charts
from twinstack.observe.traffic.report import TimelineStep


def test_the_ring_joins_services_and_marks_what_is_not_declared(tmp_path: Path):
    chart = charts.ring(craft.report(example(tmp_path)))
    assert chart is not None
    drawing = ElementTree.fromstring(chart.svg)
    names = [text.text for text in drawing.iter("text")]
    assert {"nginx-lb", "api-gateway", "product-service"} <= set(names)
    bad = [path.findtext("title") or "" for path in drawing.iter("path") if path.get("class")]
    assert [words.partition(":")[0] for words in bad] == ["product-service → product-service"]


def test_services_past_a_number_are_left_out_and_counted(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(charts, "_MAX_SERVICES", 2)
    chart = charts.ring(craft.report(example(tmp_path)))
    assert chart is not None
    assert chart.svg.count("<circle") == 2
    assert "that exchanged least are left out" in chart.caption[0]


def test_the_timeline_has_a_step_for_each_moment(tmp_path: Path):
    report = craft.report(example(tmp_path))
    steps = (TimelineStep(0, 1, 100), TimelineStep(2, 0, 0), TimelineStep(4, 1, 50))
    chart = charts.timeline(replace(report, moments=steps, step_s=2.0))
    assert chart is not None
    assert 'd="M0,100 L0,0.00 1,0.00 1,100.00 2,100.00 2,50.00 3,50.00 L3,100 Z"' in chart.svg
    assert chart.caption == ("0 s", "at most 50 B/s, in steps of 2 s", "6 s")


def test_a_report_of_nothing_has_no_charts(tmp_path: Path):
    report = craft.report(craft.pcap(tmp_path / "a.pcap", []))
    assert (charts.ring(report), charts.timeline(report)) == (None, None)
