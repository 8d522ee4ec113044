"""What replicas are asked and how their answers are read: whole, cut, ill, and nonsense."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bench_fakes import PLAN
from twinstack.observe.live import answers, events, samples
from twinstack.observe.live import probes as q
from twinstack.observe.live import text as words
from twinstack.observe.live.readings import Lease, Reading, Tally, Told

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
        (
            http(200, b'{"status":"degraded","needs":{"redis":"down: gone"}}'),
            "degraded",
            "redis down: gone",
        ),
        (http(503, b'{"status":"down","reasons":["alone"]}'), "down", "alone"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "down", "answers 502"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "up", ""),
        (b"nonsense", "down", "what it says is no HTTP"),
    ],
)
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


def read(body: bytes) -> tuple[Any, ...]:
    """Read a body as everything that it could be."""
    return answers.asked(body), answers.gateway(body), answers.registry(body)


@given(st.binary(max_size=300))
def test_no_answer_is_a_traceback(data: bytes):
    for name in ("nginx-lb", "redis-cache", "postgres-db"):
        question = asked(name)[0]
        q.whole(question, data)
        assert q.judged(question, data, 1.0).health in {"up", "degraded", "down"}
    q.requests_of(data)
    read(data)


WORDS = st.sampled_from(
    (
        "status",
        "needs",
        "reasons",
        "asked",
        "statuses",
        "5xx",
        "busy_s",
        "name",
        "upstreams",
        "service",
        "instance",
        "answers",
        "failures",
        "shunned",
        "services",
        "address",
        "port",
        "expires_in_s",
        "redis",
        "a",
    )
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | WORDS
    | st.sampled_from((10**400, -1, 1 << 63, "\ud800", "\x1b[2J")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(), inner),
    max_leaves=20,
)
TALLY = {
    "name": "redis",
    "service": "a",
    "instance": "b",
    "answers": 3,
    "failures": 1,
    "busy_s": 0.5,
    "shunned": True,
}
COUNTS: dict[str, Any] = {
    "statuses": {"2xx": 5, "5xx": 2},
    "busy_s": 1,
    "upstreams": [TALLY],
    "asked": [TALLY],
}
SERVICES: dict[str, Any] = {
    "services": {"a": [{"instance": "b", "address": "10.0.0.1", "port": 80, "expires_in_s": -0.5}]}
}


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the way to each value in a document."""
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    return [path, *(found for key, one in items for found in places(one, (*path, key)))]


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Give a copy of a document with another value in one place."""
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = changed(document[path[0]], path[1:], value)
    return copy


def shown(bodies: tuple[bytes, bytes]) -> None:
    """Do with two answers of every kind, one after the other, all that a watcher does."""
    readings = []
    for at_s, body in enumerate(bodies, 1):
        question = asked("api-gateway")[0]
        said = q.judged(question, http(200, body), 1.0)
        asks, counts, leases = read(body)
        readings.append(
            Reading(
                float(at_s),
                pids={"api-gateway": 7},
                said={"api-gateway": said},
                gateways={"api-gateway": Told(at_s, 7, counts)} if counts else {},
                asked={"api-gateway": Told(at_s, 7, asks)} if asks else {},
                registry=None if leases is None else Told(at_s, 7, leases),
            )
        )
    found = samples.sample("net", PLAN, 0.0, readings)
    told = list(events.events(PLAN, 0.0, *readings))
    names = [str(value) for one in found.registry or () for value in one.values()]
    details = [one.detail for one in found.replicas]
    assert all(one.isprintable() for one in (*names, *details, *(one.replica for one in told)))


@given(JSON, JSON)
def test_no_document_ends_a_watcher(one: Any, other: Any):
    shown((json.dumps(one).encode(), json.dumps(other).encode()))


@given(st.sampled_from((COUNTS, SERVICES)), st.data(), JSON)
def test_no_value_in_a_document_ends_a_watcher(document: Any, data: st.DataObject, value: Any):
    path = data.draw(st.sampled_from(places(document)))
    bad = json.dumps(changed(document, path, value)).encode()
    good = json.dumps(document).encode()
    shown((good, bad))
    shown((bad, good))


def test_what_is_of_its_shape_is_read():
    asks, counts, _ = read(json.dumps(COUNTS).encode())
    assert asks == (Tally("redis", 3, 1, 0.5),)
    assert counts is not None
    assert counts.total == Tally("", 5, 2, 1.0)
    assert [(one.service, one.tally.name, one.shunned) for one in counts.upstreams] == [
        ("a", "b", True)
    ]
    assert read(json.dumps(SERVICES).encode())[2] == (Lease("a", "b", "10.0.0.1", 80, -0.5),)


@pytest.mark.parametrize(
    "body",
    [
        b'{"services": []}',
        b'{"services": {"a": {}}}',
        b'{"services": {"a": [{"instance": 1}]}}',
        b'{"busy_s": 1, "upstreams": []}',
        b'{"statuses": {}, "busy_s": 1, "upstreams": []}',
        b'{"asked": [{"name": [], "answers": 1, "failures": 0, "busy_s": 0}]}',
        b'{"asked": {}}',
        b'{"asked": [{"name": "a", "answers": true, "failures": 0, "busy_s": 0}]}',
        b'{"asked": [{"name": "a", "answers": 1, "failures": 0, "busy_s": NaN}]}',
        b"[" * 100_000,
        b"1" * 5_000,
        b'{"services": ' + b"9" * 5_000 + b"}",
    ],
)
def test_what_is_of_another_shape_is_not_told(body: bytes):
    assert read(body) == (None, None, None)
    assert q.judged(asked("api-gateway")[0], http(200, body), 1.0).health == "up"


def test_figures_without_end_are_none():
    nines = b"9" * 5_000
    assert q.http_answer(b"HTTP/1.1 " + nines + b" So\r\n\r\n") == q.HttpAnswer(0, b"", True)
    assert q.http_answer(b"HTTP/1.1 200 So\r\nContent-Length: " + nines + b"\r\n\r\n") is not None
    assert q.requests_of(b"a\nb\n 1 1 " + nines + b"\n") is None


@pytest.mark.parametrize(
    ("worlds", "code"),
    [
        ([("up", "up")], 0),
        ([("up", "degraded")], 0),
        ([("up", "down")], 1),
        ([("down",)], 2),
        ([None], 2),
        ([None, ("up",)], 0),
        ([("up",), ("down",)], 1),
        (["its engine is ill"], 2),
        ([("up",), "its engine is ill"], 2),
        (["its engine is ill", ("up", "down")], 1),
        ([], 2),
    ],
)
def test_exit_code_tells_down_from_what_cannot_be_told(
    worlds: list[tuple[str, ...] | str | None], code: int
):
    documents = [
        {
            "up": isinstance(one, tuple),
            "trouble": one if isinstance(one, str) else "",
            "replicas": [{"state": state} for state in (one if isinstance(one, tuple) else ())],
        }
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
