"""The document is OpenAPI 3.1, and its schemas say what the services' parsers take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31

from services.api.document import document
from services.api.schemas import LINES_MAX, QUANTITY_MAX, SCHEMAS
from services.common.catalogue import PRODUCT_ID_MAX
from services.common.wsgi import ApiError
from services.order_service.requests import parse_items, parse_line, parse_order

DOCUMENT = document()

numbers = st.sampled_from([-1, 0, 1, 2, QUANTITY_MAX, QUANTITY_MAX + 1, PRODUCT_ID_MAX, 1 << 31])
values: st.SearchStrategy[object] = st.one_of(
    numbers, st.sampled_from([None, True, 1.5, 2.0, float("inf"), "1", [], {}])
)
lines = st.fixed_dictionaries({}, optional={"product_id": values, "quantity": values, "x": values})
good_lines = st.fixed_dictionaries({"product_id": st.integers(1, 99), "quantity": numbers})
items = st.one_of(values, st.lists(st.one_of(lines, good_lines, values), max_size=3))
crowds = st.integers(LINES_MAX - 1, LINES_MAX + 1).map(
    lambda count: [{"product_id": number + 1, "quantity": 1} for number in range(count)]
)
orders = st.fixed_dictionaries(
    {}, optional={"items": items | crowds, "from_cart": st.sampled_from([True, False, 1, None])}
)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list | tuple):
        for inner in node:
            yield from _references(inner)


def test_each_reference_leads_to_something() -> None:
    references = set(_references(DOCUMENT))
    assert len(references) > 10
    for reference in references:
        node = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    used = {reference.rpartition("/")[2] for reference in references}
    assert used >= DOCUMENT["components"]["schemas"].keys()


def test_each_operation_has_a_name_of_its_own_and_its_paths_parameters() -> None:
    names = []
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            places = [each["name"] for each in operation.get("parameters", ())]
            inside = [name for name in places if f"{{{name}}}" in path]
            assert path.count("{") == len(inside)
    assert len(names) == len(set(names))


def test_the_document_is_openapi_3_1() -> None:
    validator = Draft202012Validator(OPENAPI_31)
    assert [
        error.json_path for error in validator.iter_errors(json.loads(json.dumps(DOCUMENT)))
    ] == []
    without_info = {name: part for name, part in DOCUMENT.items() if name != "info"}
    assert not validator.is_valid(without_info)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_schema_is_json_schema(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


def _is_valid(name: str, body: object) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return bool(Draft202012Validator(schema).is_valid(body))


def _is_taken(parse: Any, body: object) -> bool:
    """Whether a parser takes a body; 422 is about what it adds up to, which no schema says."""
    try:
        parse(body)
    except ApiError as error:
        return error.status == 422
    return True


@given(st.one_of(lines, good_lines))
def test_a_line_is_taken_if_and_only_if_the_schema_takes_it(body: dict[str, Any]) -> None:
    assert _is_taken(parse_line, body) == _is_valid("Line", body)


@given(orders)
def test_an_order_is_taken_if_and_only_if_the_schema_takes_it(body: dict[str, Any]) -> None:
    assert _is_taken(parse_order, body) == _is_valid("OrderRequest", body)


@given(items | crowds)
def test_items_are_taken_if_and_only_if_the_schema_takes_them(given_items: Any) -> None:
    body = {"items": given_items}
    assert _is_taken(parse_items, body) == _is_valid("CartContent", body)
