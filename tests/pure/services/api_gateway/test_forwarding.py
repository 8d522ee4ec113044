"""The gateway under load while its instances are killed, stopped, or fail: real processes."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from services.api_gateway.retry_budget import RetryBudget
from services.api_gateway.standing import Rank
from tests.support.askers import asking
from tests.support.gateway_parts import OK, Running, Upstream, always, closed_port
from tests.support.replica import Replica
from tests.support.sandbox import eventually

BUSY = b"HTTP/1.1 409 Conflict\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}"
FAILED = b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def patient() -> Iterator[Running]:
    """Give a gateway with the time-outs of the platform."""
    running = Running(upstream_timeout_ms=5000)
    yield running
    running.close()


@pytest.fixture
def replicas(patient: Running) -> Iterator[list[Replica]]:
    made = [Replica() for _ in range(3)]
    patient.know(*(replica.port for replica in made))
    yield made
    for replica in made:
        replica.kill()


def test_every_get_is_answered_while_instances_are_killed_one_after_another(patient, replicas):
    with asking(patient.port, 8) as seen:
        for replica in replicas * 2:
            time.sleep(0.4)
            replica.kill()
            time.sleep(0.4)
            replica.start()
        time.sleep(0.4)
    assert len(seen) > 1000
    assert Counter(one.status for one in seen) == {200: len(seen)}


def test_a_stopped_instance_costs_no_request_a_second_and_none_after_its_ejection(
    patient, replicas
):
    upstreams = patient.gateway.directory.rotations["product-service"].upstreams
    stopped = next(u for u in upstreams if u.port == replicas[0].port)
    with asking(patient.port, 8) as seen:
        time.sleep(0.5)
        replicas[0].process.send_signal(signal.SIGSTOP)
        eventually(lambda: stopped.standing.rank is not Rank.WELL, within_s=3)
        ejected_s = time.monotonic()
        time.sleep(5)
        before = stopped.answers
        replicas[0].process.send_signal(signal.SIGCONT)
        eventually(lambda: stopped.answers > before, within_s=4)
    assert Counter(one.status for one in seen) == {200: len(seen)}
    assert max(one.took_s for one in seen) < 1.1
    assert max(one.took_s for one in seen if one.at_s > ejected_s) < 0.5


def test_a_stopped_instance_is_found_without_a_request(patient, replicas):
    rotation = patient.gateway.directory.rotations["product-service"]
    eventually(lambda: all(u.idle for u in rotation.upstreams), within_s=2)
    replicas[0].process.send_signal(signal.SIGSTOP)
    eventually(lambda: rotation.live() == 2, within_s=4)
    replicas[0].process.send_signal(signal.SIGCONT)
    eventually(lambda: rotation.live() == 3, within_s=3)


def test_a_get_that_failed_is_sent_once_more_to_another_instance(gateway, upstream):
    bad, good = upstream(always(FAILED)), upstream(always(OK))
    for _ in range(12):
        assert gateway.call("GET", "/api/products")[0] == 200
    assert len(good.requests) == 12
    assert 5 <= len(bad.requests) <= 6


def test_a_failed_post_is_sent_to_nobody_else(gateway, upstream):
    bad, good = upstream(always(FAILED)), upstream(always(OK))
    statuses = [gateway.call("POST", "/api/orders", b"{}")[0] for _ in range(4)]
    assert sorted(statuses) == [200, 200, 500, 500]
    assert (len(bad.requests), len(good.requests)) == (2, 2)


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/orders"), ("GET", "/api/orders/1")])
def test_a_request_waits_while_something_is_locked(gateway, upstream, method, path):
    free_s = time.monotonic() + 1.2
    busy = upstream(lambda *_: OK if time.monotonic() > free_s else BUSY)
    began_s = time.monotonic()
    assert gateway.call(method, path, b"{}" if method == "POST" else None)[0] == 200
    assert 1.1 < time.monotonic() - began_s < 2
    assert 4 <= len(busy.requests) <= 13


def test_what_stays_locked_is_told_in_time_and_other_conflicts_at_once(gateway, upstream):
    answers = {b"busy": BUSY, b"empty": BUSY.replace(b"Retry-After: 1\r\n", b"")}
    asked = upstream(lambda request, *_: answers[request.rpartition(b"\r\n\r\n")[2]])
    for body, least_s, most_s in ((b"busy", 2.4, 4), (b"empty", 0, 1)):
        began_s = time.monotonic()
        assert gateway.call("POST", "/api/orders", body)[0] == 409
        assert least_s < time.monotonic() - began_s < most_s
    assert sum(request.endswith(b"empty") for request in asked.requests) == 1


def test_without_a_retry_left_a_locked_answer_is_told_at_once(gateway, upstream, monkeypatch):
    busy = upstream(always(BUSY))
    rotation = gateway.gateway.directory.rotations["order-service"]
    monkeypatch.setattr(type(rotation), "take_retry", lambda _: False)
    assert gateway.call("POST", "/api/orders", b"{}")[0] == 409
    assert len(busy.requests) == 1


def test_an_outlier_is_ejected_although_its_health_is_good(gateway, upstream):
    bad, _ = upstream(always(FAILED)), upstream(always(OK))
    statuses = [gateway.call("POST", "/api/orders", b"{}")[0] for _ in range(40)]
    assert Counter(statuses) == {200: 35, 500: 5}
    assert len(bad.requests) == 5


def test_a_service_that_fails_as_a_whole_is_not_asked_twice(gateway, upstream, monkeypatch):
    first, second = upstream(always(FAILED)), upstream(always(FAILED))
    rotation = gateway.gateway.directory.rotations["product-service"]
    now = time.monotonic()
    monkeypatch.setattr(rotation, "_retries", RetryBudget(_left=0, _asked_at=now))
    statuses = [gateway.call("GET", "/api/products")[0] for _ in range(20)]
    assert set(statuses) == {500}
    assert len(first.requests) + len(second.requests) < 30
    assert all(one.standing.rank is Rank.WELL for one in rotation.upstreams)


def test_a_get_whose_connection_breaks_is_sent_to_another_instance(gateway, upstream):
    upstream(lambda request, connection, place: None)
    upstream(always(OK))
    for _ in range(12):
        assert gateway.call("GET", "/api/products")[0] == 200


def test_the_only_instance_has_the_whole_time(gateway, upstream):
    def slow(request: bytes, connection: int, place: int) -> bytes:
        time.sleep(0.45)  # longer than a try of this gateway, which is 0.3 s
        return OK

    up = upstream(slow)
    gateway.know(up.port, closed_port())
    rotation = gateway.gateway.directory.rotations["product-service"]
    eventually(lambda: rotation.live() == 1, within_s=2)
    for _ in range(3):
        assert gateway.call("GET", "/api/products")[0] == 200
    assert len(up.requests) == 3


def test_a_slow_get_is_given_up_for_another_instance(gateway):
    def slow(request: bytes, connection: int, place: int) -> bytes:
        time.sleep(2)
        return OK

    with_slow = Upstream(slow)
    other = Upstream(always(OK))
    gateway.know(with_slow.port, other.port)
    began = time.monotonic()
    statuses = [gateway.call("GET", "/api/products")[0] for _ in range(20)]
    assert statuses == [200] * 20
    assert len(with_slow.requests) == 2  # then it is an outlier
    assert time.monotonic() - began < 2
    with_slow.close()
    other.close()
