"""Which replicas and lines are chosen: by name, time, level and request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core_cases import planned
from twinstack.errors import WrongUse
from twinstack.observe.logs.choice import LineFilter, ReplicaLines, chosen, level_of, since_of
from twinstack.world import LogRecord

PLAN = planned("flat")
THREE = ("product-service", "product-service-2", "product-service-3")
NOW = 1795946400.0


def texts(filtered: LineFilter, *records: LogRecord) -> list[str]:
    made = ReplicaLines("x", "x", filtered)
    return [line.text for line in made.lines(records)]


def at(seconds: float, level: str = "info", request: str = "") -> LogRecord:
    return LogRecord(f'{{"time":{seconds},"level":"{level}","request_id":"{request}"}}')


def test_no_name_chooses_every_replica_in_the_plans_order():
    assert chosen(PLAN, []).declared == tuple(replica.name for replica in PLAN.replicas)


def test_a_service_is_all_its_replicas_and_a_replica_is_one():
    assert chosen(PLAN, ["product-service"]).declared == THREE
    assert chosen(PLAN, ["product-service-2"]).declared == THREE[1:2]
    both = chosen(PLAN, ["redis-cache", "product-service-3"])
    assert set(both.declared) == {"redis-cache", "product-service-3"}


def test_a_name_that_is_no_service_is_a_wrong_use():
    with pytest.raises(WrongUse, match="nobody: is no service: there are "):
        chosen(PLAN, ["redis-cache", "nobody"])


def test_a_replica_that_comes_later_is_of_its_service():
    every, one = chosen(PLAN, []), chosen(PLAN, ["product-service-2"])
    assert every.service_of("product-service-9") == "product-service"
    assert one.service_of("product-service-9") is None
    assert one.service_of("product-service-2") == "product-service"
    assert every.service_of("log-rotator") is None
    assert every.service_of("stranger-2") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("30s", NOW - 30),
        ("10m", NOW - 600),
        ("2h", NOW - 7200),
        ("1h30m", NOW - 5400),
        ("7d", NOW - 7 * 86_400),
        ("2026-11-29T10:00:00Z", NOW),
        ("2026-11-29T11:00:00+01:00", NOW),
        ("2026-11-29T10:00:00", NOW),
    ],
)
def test_since_is_a_time_ago_or_a_moment(text: str, expected: float | None):
    assert since_of(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["soon", "10", "-5m", "10 m", "5x", "m", "2026-13-01", "9" * 400 + "d"]
)
def test_since_refuses_what_is_no_time(text: str):
    with pytest.raises(WrongUse, match="--since: cannot be "):
        since_of(text, NOW)


def test_a_level_has_its_name_and_what_nginx_calls_it():
    assert [level_of(text) for text in ("", "warning", "WARN", "crit")] == [
        "",
        "warning",
        "warning",
        "critical",
    ]
    with pytest.raises(WrongUse, match="--level: cannot be loud: it is debug, info"):
        level_of("loud")


def test_a_level_hides_what_is_less_severe_and_nothing_that_has_none():
    crash = [LogRecord("Traceback (most recent call last):"), LogRecord("  File x")]
    lines = [at(1, "info"), at(2, "warning"), *crash, at(3, "error")]
    assert texts(LineFilter(level="warning"), *lines) == [line.text for line in lines[1:]]


def test_what_goes_on_is_shown_with_the_line_before_it():
    head = "2026-11-29 10:00:00.250 UTC [9] order-service "
    error = [
        LogRecord(f"{head}ERROR:  x"),
        LogRecord(f"{head}STATEMENT:  SELECT"),
        LogRecord("\t1"),
    ]
    calm = [LogRecord(f"{head}LOG:  x"), LogRecord("\tmore")]
    wanted = texts(LineFilter(level="error"), *calm, *error, *calm)
    assert wanted == [record.text for record in error]


def test_a_request_is_its_own_lines_alone():
    lines = [at(1, request="a-1"), at(2, request="a-12"), at(3), LogRecord("about a-1")]
    assert texts(LineFilter(request="a-1"), *lines) == [lines[0].text]


def test_since_begins_at_its_moment():
    untimed = LogRecord("  goes on")
    lines = [at(9.9), untimed, at(10), untimed, at(8)]
    assert texts(LineFilter(since=10), *lines) == [lines[2].text, untimed.text]


def test_a_line_without_a_time_has_the_engines_or_that_of_the_line_before():
    made = ReplicaLines("x", "x", LineFilter())
    records = [LogRecord("a", 5.0), at(7), LogRecord("b"), LogRecord("c", 8.0)]
    assert [line.time for line in made.lines(records)] == [5.0, 7, 7, 8.0]
    assert [line.time for line in made.lines([LogRecord("d")])] == [8.0]


def test_a_line_is_judged_by_itself():
    filtered = LineFilter(since=100, level="warning", request="a")
    assert filtered.judge(at(90, "error", "a")) == "too old"
    assert filtered.judge(at(97, "error", "a")) == "shown"  # its log may be out of order
    assert filtered.judge(at(101, "info", "a")) == "hidden"
    assert filtered.judge(at(101, "error", "b")) == "hidden"
    assert filtered.judge(LogRecord("\tmore")) == "goes on"
    assert LineFilter().judge(LogRecord("\tmore")) == "shown"
    assert LineFilter(request="a-1").judge(at(1, request="b")) == "hidden"
    assert replace(filtered, level="", request="").judge(LogRecord("x", 5.0)) == "too old"


def test_a_search_says_whether_lines_may_be_hidden():
    assert not LineFilter(since=1).search(5, follow=False).filtered
    assert LineFilter(level="info").search(5, follow=False).filtered
    assert LineFilter(request="a").search(None, follow=True).filtered
