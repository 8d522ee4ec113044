"""What a service says is relayed with our labels; rubbish and what it may not say are refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric

from tests.support.metrics_cases import TEXT
from twinstack.observe.metrics import relayed

ONE, TWO = ({"world": "net", "service": "s", "replica": name} for name in ("s", "s-2"))


def samples(*families: Metric) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (each.name, tuple(sorted(each.labels.values()))): each.value
        for family in families
        for each in family.samples
    }


def test_families_of_replicas_become_one_each_with_their_labels() -> None:
    read = relayed.read(TEXT)
    assert read is not None
    merged = relayed.merged([(ONE, read), (TWO, read)])
    assert [family.name for family in merged] == [
        "http_request_duration_seconds",
        "http_requests",
    ]
    found = samples(*merged)
    assert found["http_requests_total", ("200", "GET", "net", "s", "s")] == 5
    assert found["http_requests_total", ("500", "GET", "net", "s", "s-2")] == 1
    assert found["http_request_duration_seconds_bucket", ("+Inf", "net", "s", "s")] == 6
    assert not any("created" in name for name, _ in found)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>not found</html>",
        b"\xff\xfe\x00",
        b'http_requests_total{method="GET} 5\n',
        b"http_requests_total five\n",
        b"# TYPE http_requests_total\n",
        TEXT + b"{" * 1000,
        b"other_family 5\n",
        TEXT + b"# " + b"x" * (50 << 20),
    ],
    ids=lambda body: f"{body[:12]!r}, {len(body)} bytes",
)
def test_rubbish_and_endless_texts_are_refused_soon(body: bytes) -> None:
    began_s = time.process_time()
    assert relayed.read(body) is None
    assert time.process_time() - began_s < 2


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_no_text_raises(body: bytes) -> None:
    relayed.read(body)
    relayed.read(TEXT + body)


def test_a_service_speaks_of_itself_alone() -> None:
    lies = b"""\
# TYPE twinstack_world_up gauge
twinstack_world_up{world="docker"} 1
# TYPE up gauge
up 1
# TYPE store_calls_total counter
store_calls_total{store="redis",outcome="ok\\"\\n"} 3
store_calls_total{store="world",world="docker",replica="other"} 3
store_calls_total{store="label","an odd\xc3\xa9 label"="x"} 3
store_calls_total{store="nan"} NaN
store_calls_total{store="inf"} +Inf
store_calls_total{store="twice"} 1
store_calls_total{store="twice"} 2
"""
    read = relayed.read(lies)
    assert read is not None
    (family,) = relayed.merged([(ONE, read)])
    found = {each.labels["store"]: (each.labels, each.value) for each in family.samples}
    assert found == {
        "redis": ({**ONE, "store": "redis", "outcome": 'ok"\n'}, 3),
        "twice": ({**ONE, "store": "twice"}, 1),
    }


def test_a_family_of_another_type_than_declared_is_left_out() -> None:
    read = relayed.read(TEXT + b"# TYPE store_calls gauge\nstore_calls 7\n")
    assert read is not None
    assert "store_calls" not in [family.name for family in read]
