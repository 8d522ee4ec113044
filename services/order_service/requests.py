"""Parse what clients send; every refusal names the field that is wrong."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from services.api.schemas import KEY_PATTERN, LINES_MAX, QUANTITY_MAX, whole_in
from services.common.catalogue import PRODUCT_ID_MAX
from services.common.wsgi import ApiError

_key = re.compile(KEY_PATTERN).fullmatch

Lines = dict[int, int]  # product id → quantity, in the order of the ids


def parse_order(body: Mapping[str, object]) -> Lines | None:
    """Read `{"items": [...]}` or `{"from_cart": true}`: then None. Raises: ApiError 400, 422."""
    _only(body, {"items", "from_cart"}, "")
    if "from_cart" in body:
        if body["from_cart"] is not True:
            raise _bad("from_cart", "must be true, or left out")
        if "items" in body:
            raise _bad("items", "cannot be given together with from_cart")
        return None
    lines = parse_items(body)
    if not lines:
        raise _bad("items", "must not be empty")
    return lines


def digest(lines: Lines | None, session: str) -> str:
    """Identify a session's order request, to refuse another one with the same Idempotency-Key."""
    content = {"session": session, "lines": None if lines is None else sorted(lines.items())}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse_items(body: Mapping[str, object]) -> Lines:
    """Read `{"items": [{"product_id": 1, "quantity": 2}, …]}`; the same product adds up.

    Raises: ApiError 400; 422 if that is too many of it.
    """
    if "items" not in body:
        raise _bad("items", "is missing")
    items = body["items"]
    if not isinstance(items, list):
        raise _bad("items", "must be a list")
    if len(items) > LINES_MAX:
        raise _bad("items", f"has {len(items)} entries, {LINES_MAX} are allowed")
    lines: Lines = {}
    for number, item in enumerate(items):
        where = f"items[{number}]"
        if not isinstance(item, dict):
            raise _bad(where, "must be an object")
        product_id, quantity = parse_line(item, f"{where}.")
        lines[product_id] = lines.get(product_id, 0) + quantity
        if lines[product_id] > QUANTITY_MAX:
            field = f"{where}.quantity"
            message = f"{field} makes more than {QUANTITY_MAX} of that product"
            raise ApiError(422, "too_many_items", message, field=field)
    return dict(sorted(lines.items()))


def parse_line(item: Mapping[str, object], where: str = "") -> tuple[int, int]:
    """Read `{"product_id": 1, "quantity": 2}`. Raises: ApiError 400."""
    _only(item, {"product_id", "quantity"}, where)
    product_id = _whole(item, "product_id", PRODUCT_ID_MAX, where)
    return product_id, _whole(item, "quantity", QUANTITY_MAX, where)


def parse_form(form: Mapping[str, str], *fields: str) -> dict[str, int]:
    """Read the whole numbers of a form; a field with anything else is left out."""
    read = {name: whole_in(form.get(name, "")) for name in fields}
    return {name: number for name, number in read.items() if number is not None}


def parse_product_id(item: Mapping[str, object]) -> int:
    """Read `{"product_id": 1}`. Raises: ApiError 400."""
    return _whole(item, "product_id", PRODUCT_ID_MAX, "")


def parse_idempotency_key(header: str | None) -> str | None:
    """Give the key, or None when there is none. Raises: ApiError 400."""
    if header is None:
        return None
    if not _key(header):
        raise _bad("Idempotency-Key", "must be 1 to 128 visible ASCII characters")
    return header


def _whole(item: Mapping[str, object], field: str, high: int, where: str) -> int:
    if field not in item:
        raise _bad(f"{where}{field}", "is missing")
    value = item[field]
    if isinstance(value, float) and value.is_integer():  # 2.0 is a whole number in JSON Schema
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _bad(f"{where}{field}", "must be a whole number")
    if not 1 <= value <= high:
        raise _bad(f"{where}{field}", f"must be from 1 to {high}")
    return value


def _only(body: Mapping[str, object], allowed: set[str], where: str) -> None:
    for field in body:
        if field not in allowed:
            names = " and ".join(sorted(allowed))
            raise _bad(f"{where}{str(field)[:64]}", f"is not known here; the fields are {names}")


def _bad(field: str, why: str) -> ApiError:
    return ApiError(400, "bad_request", f"{field} {why}", field=field)
