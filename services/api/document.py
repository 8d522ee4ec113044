"""The table as an OpenAPI 3.1 document; pure. Source: OpenAPI Specification 3.1.1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.api.operations import HEADERS, HTML, ApiOperation, ApiReply, Parameter
from services.api.schemas import SCHEMAS, named
from services.api.table import OPERATIONS
from services.common.problems import KINDS, MEDIA_TYPE

Node = dict[str, Any]

#: What the gateway and nginx may answer to any request, and to one with a body.
_ANY = (
    *((400, "bad_host"), (400, "not_http"), (408, "head_timeout"), (414, "uri_too_long")),
    *((429, "too_many_requests"), (431, "headers_too_large"), (500, "internal_error")),
    *((501, "unknown_coding"), (502, "upstream_failed"), (502, "gateway_failed")),
    *((503, "no_instance"), (503, "overloaded"), (503, "gateway_failed")),
    *((504, "upstream_timeout"), (504, "gateway_timeout"), (505, "http_version")),
)
_ANY_BODY = ((400, "incomplete_body"), (408, "body_timeout"), (413, "body_too_large"))
#: Of a problem's answer, by what is asked: a page's problem is a page, if the service answers.
_MEDIA_TYPES = {"Problem": (MEDIA_TYPE,), "Page": (MEDIA_TYPE, HTML), "Head": ()}
_ABOUT = """A small shop: its catalogue, carts and orders. `invoke net.up` serves it from Linux
namespaces, `invoke docker.up` from containers. Each answer has `X-Request-ID` (a client's own is
kept) and, from a service, `X-Served-By`: the replica. Errors are RFC 9457 problem documents."""


def document() -> Node:
    """Make the document."""
    paths: Node = {}
    for operation in OPERATIONS:
        path = paths.setdefault(operation.path, {})
        path[operation.method.lower()] = _operation(operation, head=False)
        if operation.method == "GET":
            path["head"] = _operation(operation, head=True)
    return {
        "openapi": "3.1.1",
        "info": {"title": "twinstack's shop", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "api", "description": "for programs"},
            {"name": "pages", "description": "for people"},
        ],
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "responses": _common_problems(),
            "securitySchemes": {
                "sessionHeader": {"type": "apiKey", "in": "header", "name": "X-Session-ID"},
                "sessionCookie": {"type": "apiKey", "in": "cookie", "name": "session"},
            },
        },
    }


def _operation(operation: ApiOperation, head: bool) -> Node:
    replies = {str(status): _reply(reply, head) for status, reply in operation.replies.items()}
    node: Node = {
        "operationId": f"{operation.name}_head" if head else operation.name,
        "summary": operation.about,
        "tags": ["pages" if operation.is_page else "api"],
        "security": [],
        "responses": replies | _problems(operation, head, replies),
    }
    if operation.in_session:  # A client without one is given one.
        node["security"] = [{}, {"sessionHeader": []}, {"sessionCookie": []}]
    if operation.parameters:
        node["parameters"] = list(map(_parameter, operation.parameters))
    if operation.body is not None:
        content = {operation.body.media_type: {"schema": operation.body.schema}}
        node["requestBody"] = {"required": True, "content": content}
    return node


def _parameter(parameter: Parameter) -> Node:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.about,
        "schema": parameter.schema,
    }


def _reply(reply: ApiReply, head: bool) -> Node:
    node: Node = {"description": reply.about}
    if reply.headers:
        node["headers"] = {
            name: {"description": HEADERS[name], "required": True, "schema": {"type": "string"}}
            for name in reply.headers
        }
    if reply.media_type and not head:
        node["content"] = {reply.media_type: {"schema": reply.schema}}
    return node


def _problems(operation: ApiOperation, head: bool, replies: Mapping[str, Node]) -> Node:
    """Group by their status the problems that a request may meet."""
    own = operation.refusals + (_ANY_BODY if operation.body is not None else ())
    kind = "Head" if head else "Page" if operation.is_page else "Problem"
    problems: Node = {str(status): _referred(kind, status) for status in _by_status(_ANY)}
    for status, codes in _by_status((*own, *_ANY)).items():
        if status in _by_status(own):
            problems[str(status)] = _problem(codes, kind)
    return {status: problems[status] for status in sorted(problems.keys() - replies.keys())}


def _common_problems() -> Node:
    """Describe what any request may meet, for each kind of operation."""
    return {
        f"{kind}{status}": _problem(codes, kind)
        for kind in _MEDIA_TYPES
        for status, codes in _by_status(_ANY).items()
    }


def _problem(codes: Iterable[str], kind: str) -> Node:
    node: Node = {"description": "; ".join(f"{code}: {KINDS[code].title}" for code in codes)}
    schemas = {MEDIA_TYPE: named("Problem"), HTML: {"type": "string"}}
    if content := {name: {"schema": schemas[name]} for name in _MEDIA_TYPES[kind]}:
        node["content"] = content
    return node


def _referred(kind: str, status: int) -> Node:
    return {"$ref": f"#/components/responses/{kind}{status}"}


def _by_status(refusals: Iterable[tuple[int, str]]) -> dict[int, list[str]]:
    statuses: dict[int, list[str]] = {}
    for status, code in dict.fromkeys(refusals):
        statuses.setdefault(status, []).append(code)
    return statuses
