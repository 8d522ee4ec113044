"""A customer repeats an order until its answer is definite, and keeps the session it was given."""

from __future__ import annotations

import json
import threading

from tests.support.gateway_parts import Upstream
from tests.support.order_cases import ORDER
from twinstack.order_check.browser import Entrance, windows
from twinstack.order_check.customer import Customer, Recorder
from twinstack.order_check.sessions import Act
from twinstack.world import Endpoint


def answered(status: str, document: object, *headers: str) -> bytes:
    body = json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_an_order_is_repeated_with_its_key_and_the_sessions_cookie_until_it_is_definite() -> None:
    answers = iter(
        (
            answered("200 OK", {"items": [], "total_cents": 0}, "Set-Cookie: session=abc; Path=/"),
            None,
            answered("503 Service Unavailable", {"error": "database_unavailable"}),
            answered("201 Created", ORDER),
        )
    )
    upstream = Upstream(lambda request, connection, place: next(answers))
    recorder = Recorder()
    with windows(Entrance(Endpoint("127.0.0.1", upstream.port))) as own:
        customer = Customer(own, recorder, 1, "run", threading.Event())
        customer.open()
        customer.act(Act("order", ((1, 3),)))
    upstream.close()
    outcomes = [done.outcome for done in recorder.operations]
    assert outcomes == ["ok", "unknown", "unknown", "ok"]
    assert {done.key for done in recorder.operations[1:]} == {"run-1-1"}
    assert all(b"cookie: session=abc" in sent.lower() for sent in upstream.requests[1:])
    assert customer.undecided == []
    assert recorder.pending() == ()
