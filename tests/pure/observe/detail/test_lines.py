"""Requests are read off the lines that nginx and the services write, and off nothing else."""

from __future__ import annotations

import json

import pytest

from twinstack.observe.detail.lines import DetailLine, RequestLine, read_line
from twinstack.observe.logs.choice import LogLine

SERVICE = {
    "service": "order-service",
    "time": 12.5,
    "level": "info",
    "message": "request",
    "request_id": "ab-1",
    "method": "GET",
    "path": "/orders",
    "status": 200,
    "took_ms": 1.25,
}


def line(text: str) -> LogLine:
    return LogLine(12.5, "order-service", "order-service", "info", "ab-1", text)


def test_the_lines_of_services_and_of_nginx_are_the_same_request():
    nginx = {key: value for key, value in SERVICE.items() if key != "took_ms"}
    expected = RequestLine(12.5, "GET", "/orders", 200, 1.25, "ab-1")
    for written in (SERVICE, {**nginx, "seconds": 0.00125, "bytes": 7}):
        assert read_line(line(json.dumps(written))) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        'GET "method" 200',
        '["method"]',
        '{"method":',
        json.dumps({**SERVICE, "status": "200"}),
        json.dumps({**SERVICE, "status": True}),
        json.dumps({**SERVICE, "path": None}),
        json.dumps({"level": "error", "message": "no method"}),
        '{"method":' + "[" * 100_000,
    ],
)
def test_another_line_is_no_request(text: str):
    assert isinstance(read_line(line(text)), DetailLine)


def test_a_line_of_json_is_its_message_and_what_else_it_says():
    written = {**SERVICE, "message": "upstream failed", "reason": "\x1b[2J<b>", "method": None}
    found = read_line(line(json.dumps(written)))
    fields = "reason=\\x1b[2J<b>"
    assert isinstance(found, DetailLine)
    assert (found.time, found.level) == (12.5, "info")
    assert found.text.startswith("upstream failed request_id=ab-1 method=None path=/orders ")
    assert found.text.endswith(fields)
    for text in ('{"message": 7}', '{"level": "info"}', "plain"):
        shown = read_line(line(text))
        assert isinstance(shown, DetailLine)
        assert shown.text == text
    long = read_line(line(json.dumps({"message": "x" * 1_000_000})))
    assert isinstance(long, DetailLine)
    assert len(long.text) == 600


def test_what_a_client_sent_is_short_and_visible():
    long = json.dumps({**SERVICE, "method": "\x1b[31mX" * 9, "path": "/" + "<b>\n" * 300_000})
    found = read_line(line(long))
    assert isinstance(found, RequestLine)
    assert len(found.path) == 160
    assert found.path.startswith("/<b>\\x0a<b>")
    assert found.method == "\\x1b[31mX\\x…"
    for wrong in ("NaN", "Infinity", "1e999", "true", '"x"', "null", "1" * 400):
        text = json.dumps(SERVICE).replace("1.25", wrong)
        found = read_line(line(text))
        assert isinstance(found, RequestLine)
        assert found.ms is None
