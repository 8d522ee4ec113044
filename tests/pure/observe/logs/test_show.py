"""Lines as they are printed: aligned, coloured on a terminal, harmless; or as JSON."""

from __future__ import annotations

import json

from twinstack.observe.logs.choice import LogLine
from twinstack.observe.logs.show import columns, document, is_coloured
from twinstack.printable import dumps

LINE = LogLine(1795946400.25, "redis-cache", "redis-cache", "", "", "hello")
SERVICES = ("nginx-lb", "redis-cache")


def test_names_have_one_width():
    plain = columns(["redis-cache", "product-service-2"], SERVICES, coloured=False)
    assert plain.text(LINE) == "redis-cache       | hello"


def test_each_service_has_its_colour_and_its_replicas_share_it():
    coloured = columns(["redis-cache", "nginx-lb"], SERVICES, coloured=True)
    heads = {
        replica: coloured.text(LogLine(1, replica, service, "", "", "")).split("m")[0]
        for replica, service in (
            ("nginx-lb", "nginx-lb"),
            ("redis-cache", "redis-cache"),
            ("redis-cache-2", "redis-cache"),
        )
    }
    assert heads["redis-cache"] == heads["redis-cache-2"] != heads["nginx-lb"]
    assert coloured.text(LINE).endswith("|\x1b[0m hello")


def test_a_log_commands_no_terminal():
    nasty = LogLine(1, "x", "x", "", "", "a\x1b[2Jb\rc\x9bd\te\u202ef")
    shown = columns(["x"], ("x",), coloured=False).text(nasty)
    assert shown == "x | a\\x1b[2Jb\\x0dc\\x9bd\te\\x202ef"
    written = dumps(document(nasty), indent=None)
    assert written.isprintable()
    assert json.loads(written)["text"] == nasty.text


def test_a_json_line_has_these_keys_and_is_one_line():
    line = LogLine(1795946400.25, "a-2", "a", "warning", "r-1", "x\ny")
    text = dumps(document(line), indent=None)
    assert "\n" not in text
    assert json.loads(text) == {
        "time": "2026-11-29T10:00:00.250Z",
        "replica": "a-2",
        "service": "a",
        "level": "warning",
        "request": "r-1",
        "text": "x\ny",
    }
    nothing = document(LogLine(None, "a", "a", "", "", ""))
    assert (nothing.time, nothing.level, nothing.request) == (None, None, None)


def test_colours_are_for_terminals_whose_user_wants_them():
    assert is_coloured(terminal=True, environment={"NO_COLOR": ""})
    assert not is_coloured(terminal=True, environment={"NO_COLOR": "1"})
    assert not is_coloured(terminal=True, environment={"TERM": "dumb"})
    assert not is_coloured(terminal=False, environment={})
