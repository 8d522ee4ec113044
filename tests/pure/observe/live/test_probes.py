"""Each kind of replica is asked its own questions, and its answers are judged: whole or cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bench_fakes import PLAN
from twinstack.observe.live import probes
from twinstack.observe.live.probes import HttpAnswer, ProbeQuestion, http_answer, probe_result

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d So\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


def asked(name: str) -> tuple[ProbeQuestion, ...]:
    return probes.questions(PLAN.replica(name))


def test_each_kind_is_asked_for_its_health_first_and_then_for_what_it_counts():
    found = {
        replica.name: [question.subject for question in probes.questions(replica)]
        for replica in PLAN.replicas
    }
    assert found["nginx-lb"] == ["health", "status"]
    assert found["api-gateway"] == ["health", "counts"]
    assert found["service-registry"] == ["health", "registry"]
    assert found["order-service"] == found["redis-cache"] == found["postgres-db"] == ["health"]


@pytest.mark.parametrize(
    ("answer", "health", "detail"),
    [
        (OK, "up", ""),
        (
            http(200, b'{"status":"degraded","needs":{"redis":"down: gone"}}'),
            "degraded",
            "redis down: gone",
        ),
        (http(503, b'{"status":"down","reasons":["alone"]}'), "down", "alone"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "down", "answers 502"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "up", ""),
        (b"nonsense", "down", "its answer is not HTTP"),
    ],
)
def test_health_is_judged_by_status_and_by_what_is_said(answer: bytes, health: str, detail: str):
    result = probe_result(asked("api-gateway")[0], answer, 1.0)
    assert (result.health, result.detail) == (health, detail)


def test_stores_are_judged_by_their_own_protocol():
    redis, postgres = asked("redis-cache")[0], asked("postgres-db")[0]
    assert not probes.is_complete(redis, b"+OK\r\n")
    assert probes.is_complete(redis, b"+OK\r\n+PONG\r\n")
    assert probe_result(redis, b"+OK\r\n+PONG\r\n", 1.0).health == "up"
    assert probe_result(redis, b"+OK\r\n-LOADING\r\n", 1.0).health == "down"
    assert probe_result(postgres, b"R\0\0\0\x17\0\0\0\x0a", 1.0).health == "up"
    starting = b"E\0\0\0\x40SFATAL\0C57P03\0Mthe database system is starting up\0\0"
    result = probe_result(postgres, starting, 1.0)
    assert (result.health, result.detail) == ("down", "the database system is starting up")
    assert postgres.data[:8] == b"\0\0\0\x21\0\x03\0\0"


def test_an_answer_is_whole_when_its_length_is_there():
    question = asked("order-service")[0]
    for cut in range(len(OK)):
        assert not probes.is_complete(question, OK[:cut])
    answer = http_answer(OK)
    assert answer == HttpAnswer(200, b'{"status":"ok"}', False)


def test_the_requests_of_nginx_are_read():
    text = b"Active connections: 1 \nserver accepts handled requests\n 16 16 31 \nReading: 0 \n"
    assert probes.requests_of(text) == 31
    assert probes.requests_of(b"<html>") is None


@given(st.binary(max_size=300))
def test_no_bytes_are_a_traceback(data: bytes):
    for name in ("nginx-lb", "redis-cache", "postgres-db"):
        question = asked(name)[0]
        probes.is_complete(question, data)
        assert probe_result(question, data, 1.0).health in {"up", "degraded", "down"}
    probes.requests_of(data)


def test_figures_without_end_are_none():
    nines = b"9" * 5_000
    assert http_answer(b"HTTP/1.1 " + nines + b" So\r\n\r\n") == HttpAnswer(0, b"", True)
    assert http_answer(b"HTTP/1.1 200 So\r\nContent-Length: " + nines + b"\r\n\r\n") is not None
    assert probes.requests_of(b"a\nb\n 1 1 " + nines + b"\n") is None
