"""nginx with our configuration before two gateways: one dies, is stopped, or fails; or both do."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from tests.support.askers import asking
from tests.support.edge_parts import edge_before
from tests.support.gateway_parts import OK, Behaviour, Upstream, always
from tests.support.replica import Replica

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="starts nginx as another user: needs root"),
]
UNREACHABLE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def processes() -> Iterator[tuple[Replica, Replica]]:
    both = Replica(), Replica()
    try:
        yield both
    finally:
        for replica in both:
            replica.kill()


@contextmanager
def behaving(*behaviours: Behaviour) -> Iterator[list[Upstream]]:
    gateways = [Upstream(behaviour) for behaviour in behaviours]
    try:
        yield gateways
    finally:
        for gateway in gateways:
            gateway.close()


def post_order(port: int) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as link:
        link.request("POST", "/api/orders", b"{}")
        return link.getresponse().status


def test_every_get_is_answered_while_gateways_are_killed_in_turn():
    with processes() as both, edge_before(*(gateway.port for gateway in both)) as port:
        with asking(port, 8) as seen:
            for gateway in both * 2:
                time.sleep(0.5)
                gateway.kill()
                time.sleep(0.5)
                gateway.start()
        assert Counter(one.status for one in seen) == {200: len(seen)}


def test_a_stopped_gateway_holds_few_requests_and_fails_no_get():
    with processes() as both, edge_before(*(gateway.port for gateway in both)) as port:
        with asking(port, 8) as seen:
            time.sleep(0.5)
            both[0].process.send_signal(signal.SIGSTOP)
            time.sleep(12)
            both[0].process.send_signal(signal.SIGCONT)
        assert Counter(one.status for one in seen) == {200: len(seen)}
        assert sum(one.took_s > 1 for one in seen) <= 8
        assert len(seen) > 2000


def test_two_gateways_that_fail_now_and_then_are_both_asked_on():
    """A POST breaks its connection: both gateways count as failed, and GETs go on all the same."""

    def breaks(request: bytes, connection: int, place: int) -> bytes | None:
        return None if request.startswith(b"POST") else OK

    def post(port: int, over: threading.Event) -> None:
        while not over.wait(0.1):
            with suppress(OSError, http.client.HTTPException):
                post_order(port)

    over = threading.Event()
    with behaving(breaks, breaks) as both, edge_before(*(up.port for up in both)) as port:
        poster = threading.Thread(target=post, args=(port, over))
        poster.start()
        try:
            with asking(port, 2) as seen:
                time.sleep(3)
        finally:
            over.set()
            poster.join()
    assert Counter(one.status for one in seen) == {200: len(seen)}


def test_a_gateway_that_can_reach_no_instance_is_replaced_by_the_other():
    with behaving(always(UNREACHABLE), always(OK)) as (cut, well):
        with edge_before(cut.port, well.port) as port, asking(port, 2) as seen:
            time.sleep(2)
        assert Counter(one.status for one in seen) == {200: len(seen)}
        assert len(cut.requests) < 5


def test_a_post_is_sent_to_one_gateway_only():
    with behaving(always(UNREACHABLE), always(UNREACHABLE)) as both:
        with edge_before(*(up.port for up in both)) as port:
            assert post_order(port) == 502
        assert sum(len(up.requests) for up in both) == 1
