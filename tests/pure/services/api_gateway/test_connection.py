"""What an upstream may not say: none of it reaches a client."""

from __future__ import annotations

import pytest

from tests.support.gateway_parts import OK, always, error_of


@pytest.mark.parametrize("status", [b"600", b"999"])
def test_a_status_that_there_is_not_is_a_502(gateway, upstream, status):
    upstream(always(OK.replace(b"200", status)))
    code, _, body = gateway.call("GET", "/api/products")
    assert (code, error_of(body)) == (502, "upstream_failed")


@pytest.mark.parametrize("line", [b"X: a\rb", b"X: a\x00b", b"X: a\x01b", b"X y: 1", b"X\x00: 1"])
def test_a_header_that_could_end_another_is_a_502(gateway, upstream, line):
    upstream(always(OK.replace(b"X-Served-By: up", line)))
    code, _, body = gateway.call("GET", "/api/products")
    assert (code, error_of(body)) == (502, "upstream_failed")


def test_a_large_answer_is_whole(gateway, upstream):
    body = bytes(range(256)) * 4_000
    upstream(always(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)))
    for _ in range(3):
        assert gateway.call("GET", "/api/products")[2] == body
