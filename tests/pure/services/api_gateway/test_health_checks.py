"""What the gateway learns from /health of real servers, and that it asks seldom."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from services.api_gateway.health_checks import another_than
from services.api_gateway.standing import Rank
from tests.support.gateway_parts import OK, always
from tests.support.sandbox import eventually

ILL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"


def ranks(gateway) -> list[Rank]:
    rotation = gateway.gateway.directory.rotations["product-service"]
    return [upstream.standing.rank for upstream in rotation.upstreams]


def test_an_instance_that_says_it_is_ill_gets_no_more_requests(gateway, upstream):
    ill, well = upstream(always(ILL)), upstream(always(OK))
    ill.health = lambda: ILL
    eventually(lambda: Rank.ILL in ranks(gateway), within_s=3)
    before = len(ill.requests)
    for _ in range(20):
        assert gateway.call("GET", "/api/products")[0] == 200
        assert gateway.call("POST", "/api/orders", b"{}")[0] == 200
    assert (len(ill.requests), len(well.requests)) == (before, 40)


def test_one_that_is_well_again_comes_back(gateway, upstream):
    ill, _ = upstream(always(OK)), upstream(always(OK))
    ill.health = lambda: ILL
    eventually(lambda: Rank.ILL in ranks(gateway), within_s=3)
    ill.health = lambda: OK
    eventually(lambda: Rank.ILL not in ranks(gateway), within_s=3)

    def asked() -> bool:
        return bool(gateway.call("GET", "/api/products")[0] == 200 and ill.requests)

    eventually(asked, within_s=4)


def test_when_all_are_ill_all_are_asked_and_the_gateway_is_well(gateway, upstream):
    both = [upstream(always(OK)), upstream(always(OK))]
    for up in both:
        up.health = lambda: ILL
    eventually(lambda: ranks(gateway) == [Rank.ILL, Rank.ILL], within_s=3)
    for _ in range(10):
        assert gateway.call("GET", "/api/products")[0] == 200
    assert [len(up.requests) for up in both] == [5, 5]
    assert gateway.call("GET", "/health")[0] == 200


@pytest.mark.parametrize("behaviour", [lambda: b"SSH-2.0-OpenSSH\r\n", lambda: b""])
def test_one_that_says_nothing_sensible_is_unreachable(
    gateway, upstream, behaviour: Callable[[], bytes]
):
    up = upstream(always(OK))
    up.health = behaviour
    eventually(lambda: ranks(gateway) == [Rank.UNREACHABLE], within_s=4)
    status, _, body = gateway.call("GET", "/health")
    assert (status, b"is live" in body) == (503, True)


def test_one_that_answers_requests_but_no_check_is_slow_and_stays(gateway, upstream):
    up = upstream(always(OK))
    up.health = lambda: b""
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert gateway.call("GET", "/api/products")[0] == 200
        assert ranks(gateway) == [Rank.WELL]
        time.sleep(0.02)


def test_an_instance_without_a_health_page_counts_as_well(gateway, upstream):
    up = upstream(always(OK))
    up.health = lambda: b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"
    time.sleep(1.5)
    assert ranks(gateway) == [Rank.WELL]


def test_a_well_instance_is_asked_once_a_second(gateway, upstream):
    asked: list[float] = []

    def health() -> bytes:
        asked.append(time.monotonic())
        return OK

    upstream(always(OK)).health = health
    time.sleep(1)
    asked.clear()
    time.sleep(3.2)
    assert 2 * 3 <= len(asked) + 2 <= 2 * 4 + 2  # of two services, which share it here


def test_an_address_where_another_instance_answers_is_not_asked_as_this_one(gateway, upstream):
    up = upstream(always(OK))
    body = b'{"replica":"p-%d"}'
    page = OK.replace(b"h: 2", b"h: 17").replace(b"{}", body)
    up.health = lambda: page % 9
    eventually(lambda: ranks(gateway) == [Rank.UNREACHABLE], within_s=4)
    up.health = lambda: page % 1
    eventually(lambda: ranks(gateway) == [Rank.WELL], within_s=4)


def test_a_health_page_that_names_nobody_is_anybodys():
    for body in (b"", b"{}", b"[]", b"null", b'{"replica":"p-1"}'):
        assert another_than("p-1", body) == ""
    assert another_than("p-1", b'{"replica":"p-2"}') == "p-2"
