"""Each program's lines say when, how severe and for which request, as it really writes them."""

from __future__ import annotations

import pytest

from twinstack.observe.logs.line import LEVELS, LineFacts, facts, moment, written

TEN = 1795946400.0  # 2026-11-29 10:00:00 UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"service":"x","replica":"x","time":1795946400.25,"level":"info","request_id":"ab-1"}',
            LineFacts(TEN + 0.25, "info", "ab-1"),
        ),
        (
            '{"time":1795946400.250,"service":"nginx-lb","level":"info","request_id":"ab-1"}',
            LineFacts(TEN + 0.25, "info", "ab-1"),
        ),
        ('{"time":"2026-11-29T10:00:00+00:00","level":"warning"}', LineFacts(TEN, "warning")),
        ('{"service":"postgres-db","level":"error","message":"x"}', LineFacts(None, "error")),
        (
            "2026/11/29 10:00:00 [error] 12#12: *3 connect() failed (111: Connection refused)",
            LineFacts(TEN, "error"),
        ),
        ("2026/11/29 10:00:00 [warn] 12#12: low on connections", LineFacts(TEN, "warning")),
        ("2026/11/29 10:00:00 [emerg] 1#1: bind() failed", LineFacts(TEN, "critical")),
        (
            "12212:M 29 Nov 2026 10:00:00.250 * Ready to accept connections",
            LineFacts(TEN + 0.25, "notice"),
        ),
        (
            "12212:C 29 Nov 2026 10:00:00.250 # Configuration loaded",
            LineFacts(TEN + 0.25, "warning"),
        ),
        ("12212:M 29 Nov 2026 10:00:00.250 - Accepted 10.0.0.30:1", LineFacts(TEN + 0.25, "debug")),
        (
            "2026-11-29 10:00:00.250 UTC [12319]  LOG:  starting PostgreSQL 15.20",
            LineFacts(TEN + 0.25, "info"),
        ),
        (
            "2026-11-29 10:00:00.250 UTC [9] order-service ERROR:  deadlock detected",
            LineFacts(TEN + 0.25, "error"),
        ),
        (
            "2026-11-29 10:00:00.250 UTC [9] [unknown] FATAL:  password authentication failed",
            LineFacts(TEN + 0.25, "critical"),
        ),
        (
            "2026-11-29 10:00:00.250 UTC [9] order-service DETAIL:  Process 9 waits for 10.",
            LineFacts(TEN + 0.25, goes_on=True),
        ),
        ("\t  WHERE id = 1", LineFacts(goes_on=True)),
        ("[WARNING] Worker-1 exited with 1", LineFacts(level="warning")),
        ("ERROR:    Exception in callback", LineFacts(level="error")),
        ("Traceback (most recent call last):", LineFacts()),
        ('  File "/srv/app.py", line 3, in <module>', LineFacts(goes_on=True)),
        ("setpriv: failed to execute: No such file", LineFacts()),
        ("12212:M 29 Abc 2026 10:00:00.250 * x", LineFacts(None, "notice")),
        ("{not json", LineFacts()),
        ("{" * 100_000, LineFacts()),
        ('{"time":NaN,"level":7,"request_id":[1]}', LineFacts()),
        ('{"time":1e999,"level":"loud"}', LineFacts()),
        ("", LineFacts()),
        ("7", LineFacts()),
    ],
)
def test_a_line_says_what_it_says(text: str, expected: LineFacts):
    assert facts(text) == expected


def test_a_path_in_a_line_cannot_pretend_to_be_its_level():
    text = '{"time":1.5,"level":"info","request_id":"a","path":"/\\",\\"level\\":\\"error\\""}'
    assert facts(text) == LineFacts(1.5, "info", "a")


def test_moments_are_read_as_they_are_written():
    assert moment(written(TEN + 0.123)) == pytest.approx(TEN + 0.123, abs=0.001)
    assert written(TEN) == "2026-11-29T10:00:00.000Z"
    assert moment("2026-11-29T12:00:00+02:00") == TEN
    assert moment("2026-11-29") == TEN - 36_000
    assert moment("soon") is None
    assert written(1e30) == "1e+30"


def test_levels_go_from_least_to_most():
    assert LEVELS[0] == "debug"
    assert LEVELS.index("warning") < LEVELS.index("error") < LEVELS.index("critical")
