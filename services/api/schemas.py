"""The JSON of the public interface, as JSON Schema 2020-12; its limits are the services' own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from services.common.catalogue import CURRENCY, PRODUCT_ID_MAX

Schema = Mapping[str, Any]

LINES_MAX = 50
QUANTITY_MAX = 1000
PAGE_DEFAULT, PAGE_MAX = 20, 100
KEY_PATTERN = "[\\x21-\\x7e]{1,128}"

_whole = re.compile(r"([0-9]{1,10})(?:\.0+)?").fullmatch
_TEXT: Schema = {"type": "string"}
_CENTS: Schema = {"type": "integer", "minimum": 0, "description": "of a euro"}


def whole(low: int, high: int, **more: object) -> Schema:
    """Describe a whole number from `low` to `high`."""
    return {"type": "integer", "minimum": low, "maximum": high, **more}


def whole_in(text: str) -> int | None:
    """Read a whole number from a URL or form; 2.0 is one too, as it is in JSON Schema."""
    match = _whole(text)
    return int(match[1]) if match else None


def _object(optional: Mapping[str, Schema] | None = None, /, **required: Schema) -> Schema:
    """Describe an object with these members and no other."""
    properties = {**required, **(optional or {})}
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Schema, **more: object) -> Schema:
    return {"type": "array", "items": items, **more}


def named(name: str) -> Schema:
    """Refer to a schema of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


PRODUCT_ID = whole(1, PRODUCT_ID_MAX)
ORDER_ID: Schema = {"type": "string", "format": "uuid"}
_CURRENCY: Schema = {"const": CURRENCY}
_STATUS: Schema = {"enum": ["ok", "degraded", "down"]}
_PRODUCT: Mapping[str, Schema] = {
    "id": PRODUCT_ID,
    "sku": _TEXT,
    "name": _TEXT,
    "category": _TEXT,
    "price_cents": _CENTS,
    "stock": whole(0, PRODUCT_ID_MAX),
}
_LINE = _object(product_id=PRODUCT_ID, quantity=whole(1, QUANTITY_MAX))
_PRICED_LINE = _object(
    product_id=PRODUCT_ID, name=_TEXT, quantity=whole(1, QUANTITY_MAX), unit_price_cents=_CENTS
)
_NEXT: Schema = {
    "type": ["string", "null"],
    "description": "the path of the next page, also as a Link; only in an answer by pages",
}

SCHEMAS: Mapping[str, Schema] = {
    "Product": _object(**_PRODUCT, description=_TEXT, currency=_CURRENCY),
    "ProductList": _object(
        {"next": _NEXT},
        products=_list(_object(**_PRODUCT)),
        count=whole(0, PRODUCT_ID_MAX, description="of the products in this answer"),
        currency=_CURRENCY,
    ),
    "Line": _LINE,
    "CartContent": _object(items=_list(_LINE, maxItems=LINES_MAX)),
    "Cart": _object(
        session=_TEXT, items=_list(_PRICED_LINE), total_cents=_CENTS, currency=_CURRENCY
    ),
    "OrderRequest": {
        "oneOf": [
            _object(items=_list(_LINE, minItems=1, maxItems=LINES_MAX)),
            _object(from_cart={"const": True}),
        ]
    },
    "Order": _object(
        id=ORDER_ID,
        created_at={"type": "string", "format": "date-time"},
        total_cents=_CENTS,
        currency=_CURRENCY,
        items=_list(_PRICED_LINE),
    ),
    "Health": {
        "type": "object",
        "required": ["status", "service", "replica", "uptime_s", "needs"],
        "properties": {"status": _STATUS, "service": _TEXT, "replica": _TEXT},
    },
    "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
    "Problem": {
        "type": "object",
        "description": "RFC 9457. `error` is for programs, `message` (as `detail`) for people; "
        "some kinds say more: the wrong `field`, the `items` that are short",
        "required": [
            *("type", "title", "status", "detail", "instance"),
            *("error", "message", "request_id"),
        ],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": _TEXT,
            "status": whole(400, 599),
            "detail": _TEXT,
            "instance": {"type": "string", "format": "uri"},
            "error": _TEXT,
            "message": _TEXT,
            "request_id": _TEXT,
        },
    },
    "AddForm": {
        **_object(token=_TEXT, product_id=PRODUCT_ID, quantity=whole(1, QUANTITY_MAX)),
        "additionalProperties": True,
    },
    "RemoveForm": {**_object(token=_TEXT, product_id=PRODUCT_ID), "additionalProperties": True},
    "OrderForm": {
        **_object(token=_TEXT, idempotency_key={"type": "string", "pattern": f"^{KEY_PATTERN}$"}),
        "additionalProperties": True,
    },
}
