"""The table, the document and what runs say the same, both ways: routes, methods, problems."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from services.api.document import document
from services.api.operations import GATEWAY
from services.api.table import OPERATIONS
from services.api_gateway import routes
from services.common.problems import KINDS
from tests.support.gateway_parts import Running, Upstream, error_of
from tests.support.idle_apps import order_app, product_app
from tests.support.project import ROOT

PATHS = document()["paths"]
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
_templates = [re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in PATHS]
segments = st.sampled_from(
    ["api", "products", "orders", "cart", "shop", "docs", "remove", "style.css", "7", "", ".", ".."]
)


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Flask]:
    secrets = tmp_path_factory.mktemp("secrets")
    return {"order-service": order_app(secrets), "product-service": product_app(secrets)}


@pytest.mark.parametrize("service", ["order-service", "product-service"])
def test_a_service_serves_its_operations_and_no_other_that_a_route_leads_to(apps, service: str):
    declared = {
        (operation.rule, operation.method): operation.name
        for operation in OPERATIONS
        if operation.service == service
    }
    served = {
        (rule.rule, method): rule.endpoint.rpartition(".")[2]
        for rule in apps[service].url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert declared.items() <= served.items()
    led_to = {route.upstream.decode() for route in routes.ROUTES}
    inside = {rule.partition("<")[0] for rule, method in served.keys() - declared.keys()}
    assert "/health" in inside
    assert not inside & led_to


@given(st.lists(segments, max_size=4))
def test_a_path_has_a_route_if_and_only_if_it_is_in_the_document(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    own = {operation.path for operation in OPERATIONS if operation.service == GATEWAY}
    documented = any(template.fullmatch(path) for template in _templates) and path not in own
    documented = documented and parts[-1:] not in ([".."], ["."])
    assert (routes.find(path.encode()) is not None) == documented


def test_a_running_gateway_takes_the_documents_methods_and_refuses_all_others() -> None:
    def echo(request: bytes, connection: int, place: int) -> bytes:
        body = b"" if request.startswith(b"HEAD") else request.split()[1]
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    upstream, gateway = Upstream(echo), Running()
    try:
        gateway.know(upstream.port)
        for path, described in PATHS.items():
            methods = {method.upper() for method in described}
            by_method = {str(each.method): each for each in OPERATIONS if each.path == path}
            for method in METHODS:
                status, headers, body = gateway.call(method, path.replace("{", "x").rstrip("}"))
                if method in methods:
                    assert status == 200, (method, path)
                    operation = by_method.get(method)
                    if operation and operation.service != GATEWAY:
                        asked = operation.upstream.replace("{", "x").rstrip("}")
                        assert body.decode() == asked
                else:
                    assert status == 405, (method, path)
                    assert set(headers["allow"].split(", ")) == methods
                    assert method == "HEAD" or error_of(body) == "method_not_allowed"
    finally:
        gateway.close()
        upstream.close()


def test_the_document_is_served_as_it_is_made() -> None:
    gateway = Running()
    try:
        status, headers, body = gateway.call("GET", "/openapi.json")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert body == document_bytes()
        status, headers, body = gateway.call("HEAD", "/openapi.json")
        assert (status, headers["content-length"], body) == (200, str(len(document_bytes())), b"")
    finally:
        gateway.close()


def document_bytes() -> bytes:
    from services.api_gateway.gateway import OPENAPI

    return OPENAPI


def _problems_in(file: Path) -> set[tuple[int, str]]:
    """List what a file raises or answers: status and code, both written out."""
    calls = (node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    pairs = (call.args[:2] for call in calls if isinstance(call, ast.Call) and call.args[1:])
    return {
        (status.value, code.value)
        for status, code in pairs
        if isinstance(status, ast.Constant) and isinstance(code, ast.Constant)
        if isinstance(status.value, int) and isinstance(code.value, str)
        if 400 <= status.value < 600
    }


def test_each_problem_that_code_names_is_a_kind_with_that_status() -> None:
    rooms = ("common", "api_gateway", "order_service", "product_service", "api")
    files = [file for room in rooms for file in (ROOT / "services" / room).glob("*.py")]
    found = set().union(*map(_problems_in, files))
    assert len(found) > 25
    unknown = {(s, c) for s, c in found if c not in KINDS or s not in KINDS[c].statuses}
    assert not unknown
    refused = {pair for operation in OPERATIONS for pair in operation.refusals}
    assert all(status in KINDS[code].statuses for status, code in refused)


def test_nginxs_own_problems_are_of_those_kinds() -> None:
    text = (ROOT / "templates/nginx.conf.j2").read_text(encoding="utf-8")
    listed = text.partition("map $status $error {")[2].partition("}")[0]
    pairs = re.findall(r'(\d+|default) "(\w+)";', listed)
    assert len(pairs) > 10
    for status, code in pairs:
        assert status == "default" or int(status) in KINDS[code].statuses, (status, code)
