"""Header rules of the gateway: what passes, what stays on its hop."""

from __future__ import annotations

from services.api_gateway import messages


def test_hop_by_hop_headers_and_those_they_name_stay_here() -> None:
    headers = [
        (b"host", b"shop"),
        (b"connection", b"close, X-Private"),
        (b"x-private", b"1"),
        (b"te", b"trailers"),
        (b"accept", b"*/*"),
        (b"x-forwarded-for", b"1.2.3.4"),
    ]
    data = messages.request_bytes(
        "GET", b"/products", messages.heed(headers), b"id-1", "10.0.0.10", None
    )
    head = data.split(b"\r\n")
    assert head[0] == b"GET /products HTTP/1.1"
    assert sorted(head[1:-2]) == [
        b"accept: */*",
        b"host: shop",
        b"x-forwarded-for: 1.2.3.4, 10.0.0.10",
        b"x-request-id: id-1",
    ]


def test_a_chunked_request_goes_on_with_a_length() -> None:
    headers = [(b"transfer-encoding", b"chunked"), (b"host", b"shop")]
    data = messages.request_bytes("POST", b"/orders", messages.heed(headers), b"id", "::1", b"{}")
    assert data.endswith(b"content-length: 2\r\n\r\n{}")
    assert b"chunked" not in data


def test_an_answer_keeps_its_own_headers_and_gets_our_id() -> None:
    headers = [
        (b"Content-Type", b"application/json"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"keep-alive, X-Hop"),
        (b"X-Hop", b"1"),
        (b"X-Served-By", b"product-service-2"),
        (b"X-Request-ID", b"theirs"),
    ]
    assert messages.answer_lines(headers, b"ours", 200, b"{}") == [
        b"content-type: application/json\r\n",
        b"x-served-by: product-service-2\r\n",
        b"content-length: 2\r\n",
        b"x-request-id: ours\r\n",
    ]


def test_forwarded_addresses_stay_in_the_order_in_which_they_were_added() -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1, 2.2.2.2"), (b"x-forwarded-for", b"3.3.3.3")]
    data = messages.request_bytes("GET", b"/", messages.heed(headers), b"id", "4.4.4.4", None)
    assert b"\r\nx-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3, 4.4.4.4\r\n" in data


def test_forwarded_addresses_are_not_for_this_hop_only_whatever_a_client_says() -> None:
    headers = [(b"connection", b"x-forwarded-for, x-hop"), (b"x-hop", b"1")]
    headers.append((b"x-forwarded-for", b"1.1.1.1"))
    data = messages.request_bytes("GET", b"/", messages.heed(headers), b"id", "4.4.4.4", None)
    assert b"\r\nx-forwarded-for: 1.1.1.1, 4.4.4.4\r\n" in data
    assert b"hop" not in data


def test_what_the_gateway_heeds_passes_on_whatever_a_client_says() -> None:
    """A key that stayed here would make a second try another order."""
    headers = [(b"connection", b"idempotency-key, host"), (b"host", b"shop")]
    headers.append((b"idempotency-key", b"k"))
    heeded = messages.heed(headers)
    assert (heeded.keys, heeded.hosts) == (1, [b"shop"])
    data = messages.request_bytes("POST", b"/orders", heeded, b"id", "4.4.4.4", b"{}")
    assert b"\r\nidempotency-key: k\r\n" in data
    assert b"\r\nhost: shop\r\n" in data
    assert b"connection" not in data


def test_a_header_that_wsgi_would_take_for_another_stays_here() -> None:
    headers = [(b"x_session_id", b"evil"), (b"x-session-id", b"mine")]
    data = messages.request_bytes("GET", b"/", messages.heed(headers), b"id", "4.4.4.4", None)
    assert b"evil" not in data
    assert b"x-session-id: mine" in data
