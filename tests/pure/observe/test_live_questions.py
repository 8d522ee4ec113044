"""What replicas are asked and how their answers are read: whole, cut, ill, and nonsense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.bench_fakes import PLAN
from twinstack.observe.live import questions as q
from twinstack.observe.live import words
from twinstack.observe.live.groups import interfaces

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d So\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


def asked(name: str) -> tuple[q.Question, ...]:
    return q.questions(PLAN.replica(name))


def test_each_kind_is_asked_for_its_health_first_and_then_for_what_it_counts():
    found = {one.name: [question.what for question in q.questions(one)] for one in PLAN.replicas}
    assert found["nginx-lb"] == ["health", "status"]
    assert found["api-gateway"] == ["health", "counts"]
    assert found["service-registry"] == ["health", "registry"]
    assert found["order-service"] == found["redis-cache"] == found["postgres-db"] == ["health"]


@pytest.mark.parametrize(
    ("answer", "health", "detail"),
    [
        (OK, "up", ""),
        (http(200, b'{"status":"degraded","needs":{"redis":"down: gone"}}'), "degraded",
         "redis down: gone"),
        (http(503, b'{"status":"down","reasons":["alone"]}'), "down", "alone"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "down", "answers 502"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "up", ""),
        (b"nonsense", "down", "what it says is no HTTP"),
    ],
)  # fmt: skip
def test_health_is_judged_by_status_and_by_what_is_said(answer: bytes, health: str, detail: str):
    said = q.judged(asked("api-gateway")[0], answer, 1.0)
    assert (said.health, said.detail) == (health, detail)


def test_stores_are_judged_by_their_own_protocol():
    redis, postgres = asked("redis-cache")[0], asked("postgres-db")[0]
    assert not q.whole(redis, b"+OK\r\n")
    assert q.whole(redis, b"+OK\r\n+PONG\r\n")
    assert q.judged(redis, b"+OK\r\n+PONG\r\n", 1.0).health == "up"
    assert q.judged(redis, b"+OK\r\n-LOADING\r\n", 1.0).health == "down"
    assert q.judged(postgres, b"R\0\0\0\x17\0\0\0\x0a", 1.0).health == "up"
    starting = b"E\0\0\0\x40SFATAL\0C57P03\0Mthe database system is starting up\0\0"
    said = q.judged(postgres, starting, 1.0)
    assert (said.health, said.detail) == ("down", "the database system is starting up")
    assert postgres.data[:8] == b"\0\0\0\x21\0\x03\0\0"


def test_an_answer_is_whole_when_its_length_is_there():
    question = asked("order-service")[0]
    for cut in range(len(OK)):
        assert not q.whole(question, OK[:cut])
    answer = q.http_answer(OK)
    assert answer == q.HttpAnswer(200, b'{"status":"ok"}', False)


def test_the_requests_of_nginx_are_read():
    text = b"Active connections: 1 \nserver accepts handled requests\n 16 16 31 \nReading: 0 \n"
    assert q.requests_of(text) == 31
    assert q.requests_of(b"<html>") is None


@given(st.binary(max_size=300))
def test_no_answer_is_a_traceback(data: bytes):
    for name in ("nginx-lb", "redis-cache", "postgres-db"):
        question = asked(name)[0]
        q.whole(question, data)
        assert q.judged(question, data, 1.0).health in {"up", "degraded", "down"}
    q.requests_of(data)
    q.document(data)


def test_interfaces_are_added_up_without_the_loopback():
    text = (
        "Inter-|   Receive  |  Transmit\n face |bytes packets\n"
        "    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n"
        "  eth0: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n  eth1:5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n"
    )
    assert interfaces(text) == (15, 27)


@pytest.mark.parametrize(
    ("worlds", "code"),
    [([("up", "up")], 0), ([("up", "degraded")], 0), ([("up", "down")], 1), ([("down",)], 2),
     ([None], 2), ([None, ("up",)], 0), ([("up",), ("down",)], 1)],
)  # fmt: skip
def test_exit_code_tells_down_from_nothing_up(worlds: list[tuple[str, ...] | None], code: int):
    documents = [
        {"up": one is not None, "replicas": [{"state": state} for state in one or ()]}
        for one in worlds
    ]
    assert words.exit_code(documents) == code


def test_figures_are_said_shortly():
    assert [words.rate(one) for one in (None, 0.25, 1234.5)] == ["–", "0.2", "1,234"]
    assert [words.size(one) for one in (None, 5, 45_895_680)] == ["–", "5 B", "45.9 MB"]
    assert [words.milliseconds(one) for one in (None, 2.34, 228.1)] == ["–", "2.3 ms", "228 ms"]
    assert [words.part(*one) for one in ((None, 1), (0.5, 2), (1, None))] == [
        "–",
        "25%",
        "no limit",
    ]
