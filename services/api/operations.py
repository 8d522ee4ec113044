"""What a public operation is: its path and service, its parameters, body, replies and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.api.schemas import (
    KEY_PATTERN,
    ORDER_ID,
    PAGE_DEFAULT,
    PAGE_MAX,
    PRODUCT_ID,
    Schema,
    whole,
)
from services.common.catalogue import PRODUCT_ID_MAX

Method = Literal["GET", "POST", "PUT", "DELETE"]
Service = Literal["api-gateway", "product-service", "order-service"]
GATEWAY: Service = "api-gateway"
PRODUCTS: Service = "product-service"
ORDERS: Service = "order-service"
JSON, HTML, CSS = "application/json", "text/html", "text/css"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a request may carry besides its body."""

    name: str
    place: Literal["path", "query", "header"]
    schema: Schema
    about: str


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body; it is never optional."""

    media_type: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class ApiReply:
    """An answer that is no problem. `headers` are names of HEADERS, and always there."""

    about: str
    media_type: str = ""  # "": it has no body
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """One method of one public path, and where the gateway sends it."""

    name: str
    method: Method
    path: str  # {x} is one segment, the last
    service: Service
    upstream: str  # the path at the service
    about: str
    replies: Mapping[int, ApiReply]
    refusals: tuple[tuple[int, str], ...] = ()  # by the service: status and kind of problem
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    in_session: bool = False

    @property
    def rule(self) -> str:
        """Give the path at the service as Flask writes it."""
        return self.upstream.replace("{", "<").replace("}", ">")

    @property
    def is_page(self) -> bool:
        """Whether it is for people: its problems are pages too."""
        return any(reply.media_type == HTML for reply in self.replies.values()) or (
            self.body is not None and self.body.media_type == FORM
        )


#: What an answer's headers say.
HEADERS: Mapping[str, str] = {
    "ETag": "the answer's tag: the same for the same body, at every instance",
    "X-Cache": "where it is from: near (the process), hit (Redis), miss, or bypass (Redis is down)",
    "Location": "the path of the order",
    "X-Session-ID": "the session, also as the cookie `session`",
}

PRODUCT = Parameter("product_id", "path", PRODUCT_ID, "the product's id")
ORDER = Parameter("order_id", "path", ORDER_ID, "the order's id")
LIMIT = Parameter(
    "limit",
    "query",
    whole(1, PAGE_MAX),
    f"how many products a page has; {PAGE_DEFAULT} if only the cursor is given",
)
CURSOR = Parameter(
    "cursor",
    "query",
    whole(0, PRODUCT_ID_MAX),
    "where the page begins, as the page before says in `next`",
)
PAGE = Parameter("page", "query", whole(1, 1_000_000), "the number of the page; past the end: none")
IF_NONE_MATCH = Parameter(
    "If-None-Match",
    "header",
    {"type": "string"},
    "tags that the client has: if the answer's is among them, a 304 without a body",
)
KEY = Parameter(
    "Idempotency-Key",
    "header",
    {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
    "the same key again in the same session is the same order, for 24 hours",
)
