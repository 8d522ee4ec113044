"""Errors as a client sees them: RFC 9457 problem documents, of kinds that are listed here; pure.

`error`, `message` and whatever else says more are extension members; `type` leads to the kind's
entry on the page /docs. nginx writes its own in the same form (templates/nginx.conf.j2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of problem: what it is called, and the statuses that it may have."""

    title: str
    statuses: tuple[int, ...]


def _kind(title: str, *statuses: int) -> ProblemKind:
    return ProblemKind(title, statuses)


#: By the code that programs read (`error`).
KINDS: Mapping[str, ProblemKind] = {
    # What is sent
    "bad_framing": _kind("The body's framing is not HTTP/1.0", 400),
    "bad_host": _kind("Host is missing, double or invalid", 400),
    "bad_product_id": _kind("The product's id is no whole number from 1 up", 400),
    "bad_request": _kind("A field, parameter or header is missing or wrong", 400),
    "empty_body": _kind("The body is empty", 400),
    "incomplete_body": _kind("The client left before its body was complete", 400),
    "not_an_object": _kind("The body is JSON, but no object", 400),
    "not_http": _kind("The request is not well-formed HTTP", 400),
    "not_json": _kind("The body is not JSON", 400),
    "session_required": _kind("An Idempotency-Key needs a session", 400),
    "cross_site": _kind("Another site's page sent this", 403),
    "form_expired": _kind("The form is of another session", 403),
    "method_not_allowed": _kind("The method is not possible here", 405),
    "head_timeout": _kind("The head came too slowly", 408),
    "body_timeout": _kind("The body came too slowly", 408),
    "body_too_large": _kind("The body is too large", 413),
    "request_entity_too_large": _kind("The body is too large", 413),
    "uri_too_long": _kind("The URL is too long", 414),
    "too_many_items": _kind("The items add up to more than an order may have", 422),
    "too_many_requests": _kind("The client sends too many requests", 429),
    "headers_too_large": _kind("The head is too large", 431),
    "http_version": _kind("The version of HTTP is not spoken here", 505),
    "no_tunnel": _kind("CONNECT is not possible here", 501),
    "no_websocket": _kind("There are no WebSockets here", 501),
    "not_implemented": _kind("The transfer coding is not known", 501),
    "unknown_coding": _kind("The transfer coding is not known", 501),
    "refused": _kind("The request is refused", 400),
    # What it is about
    "cart_changed": _kind("The cart has changed since it was shown", 409),
    "cart_empty": _kind("The session's cart is empty", 409),
    "cart_full": _kind("The cart holds no more", 409),
    "database_busy": _kind("Another request holds what this one needs", 409),
    "idempotency_key_reused": _kind("The Idempotency-Key was used for another order", 422),
    "insufficient_stock": _kind("There is not enough in stock", 409),
    "not_found": _kind("There is nothing at this path", 404),
    "unknown_order": _kind("This session has no such order", 404),
    "unknown_product": _kind("There is no such product", 404, 422),
    # What is down
    "database_unavailable": _kind("PostgreSQL cannot be reached", 503),
    "gateway_failed": _kind("The gateway cannot be reached", 502, 503),
    "gateway_timeout": _kind("The gateway did not answer in time", 504),
    "internal_error": _kind("Something unexpected went wrong", 500),
    "no_instance": _kind("No instance of the service is known", 503),
    "outcome_unknown": _kind("The order may or may not have been placed", 503),
    "overloaded": _kind("Too many requests to the service are under way", 503),
    "redis_full": _kind("Redis has no room for larger carts", 503),
    "redis_unavailable": _kind("Redis cannot be reached", 503),
    "try_again": _kind("Other requests were faster", 503),
    "upstream_failed": _kind("No instance of the service can be reached", 502),
    "upstream_timeout": _kind("The service did not answer in time", 504),
}


def problem(
    status: int, code: str, message: str, request_id: str, **details: object
) -> dict[str, object]:
    """Describe a problem. Source: RFC 9457, 3; without a kind of ours its type is about:blank."""
    kind = KINDS.get(code)
    return {
        "type": f"/docs#{code}" if kind else "about:blank",
        "title": kind.title if kind else HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "instance": f"urn:request:{request_id}",
        "error": code,
        "message": message,
        **details,
        "request_id": request_id,
    }
