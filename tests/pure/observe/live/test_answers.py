"""Answers of services are read as typed values; whatever else they answer ends no watcher."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bench_fakes import PLAN
from twinstack.observe.live import answers, events, samples
from twinstack.observe.live.answers import DependencyCounts, Lease
from twinstack.observe.live.model import Dated, Reading
from twinstack.observe.live.probes import probe_result, questions

QUESTION = questions(PLAN.replica("api-gateway"))[0]


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d So\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


def read(body: bytes) -> tuple[Any, ...]:
    """Read a body as everything that it could be."""
    return answers.dependencies(body), answers.gateway(body), answers.registry(body)


@given(st.binary(max_size=300))
def test_no_bytes_end_a_watcher(data: bytes):
    read(data)
    answers.health(data)


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


def paths(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the way to each value in a document."""
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    return [path, *(inner for key, value in items for inner in paths(value, (*path, key)))]


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Give a copy of a document with another value in one place."""
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = changed(document[path[0]], path[1:], value)
    return copy


def shown(bodies: tuple[bytes, bytes]) -> None:
    """Do all that a watcher does with two answers of every kind, one after the other."""
    readings = []
    for at_s, body in enumerate(bodies, 1):
        result = probe_result(QUESTION, http(200, body), 1.0)
        asks, counts, leases = read(body)
        readings.append(
            Reading(
                float(at_s),
                pids={"api-gateway": 7},
                probes={"api-gateway": result},
                gateways={"api-gateway": Dated(at_s, 7, counts)} if counts else {},
                dependencies={"api-gateway": Dated(at_s, 7, asks)} if asks else {},
                registry=leases,
            )
        )
    found = samples.sample("net", PLAN, 0.0, readings)
    happened = list(events.events(PLAN, 0.0, *readings))
    names = [str(value) for one in found.registry or () for value in one.values()]
    details = [one.detail for one in found.replicas]
    assert all(one.isprintable() for one in (*names, *details, *(one.replica for one in happened)))


@given(JSON, JSON)
def test_no_document_ends_a_watcher(one: Any, other: Any):
    shown((json.dumps(one).encode(), json.dumps(other).encode()))


@given(st.sampled_from((COUNTS, SERVICES)), st.data(), JSON)
def test_no_value_in_a_document_ends_a_watcher(document: Any, data: st.DataObject, value: Any):
    path = data.draw(st.sampled_from(paths(document)))
    bad = json.dumps(changed(document, path, value)).encode()
    good = json.dumps(document).encode()
    shown((good, bad))
    shown((bad, good))


def test_an_answer_of_the_right_shape_is_read():
    asks, counts, _ = read(json.dumps(COUNTS).encode())
    assert asks == (DependencyCounts(name="redis", answers=3, failures=1, busy_s=0.5),)
    assert counts is not None
    assert counts.total.model_dump() == {"answers": 5, "failures": 2, "busy_s": 1.0}
    assert [(one.service, one.instance, one.shunned) for one in counts.upstreams] == [
        ("a", "b", True)
    ]
    lease = Lease(service="a", instance="b", address="10.0.0.1", port=80, expires_in_s=-0.5)
    assert read(json.dumps(SERVICES).encode())[2] == (lease,)


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
def test_an_answer_of_another_shape_is_none(body: bytes):
    assert read(body) == (None, None, None)
    assert probe_result(QUESTION, http(200, body), 1.0).health == "up"
