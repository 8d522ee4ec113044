"""Which path goes where, and by which methods; pure."""

from __future__ import annotations

from dataclasses import dataclass

PRODUCTS, ORDERS = "product-service", "order-service"
_READ = ("GET", "HEAD")
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Route:
    """A public path, or a prefix (ending in "/") with one more segment; and the upstream's."""

    public: bytes
    service: str
    upstream: bytes
    methods: tuple[str, ...]
    takes_key: bool = False  # its service carries out a POST with an Idempotency-Key once

    @property
    def allow(self) -> bytes:
        return ", ".join(self.methods).encode()

    def is_idempotent(self, method: str, has_key: bool) -> bool:
        """Tell whether a request may be sent again that may have been carried out."""
        return method in _IDEMPOTENT or (self.takes_key and has_key)


ROUTES = (
    Route(b"/api/products", PRODUCTS, b"/products", _READ),
    Route(b"/api/products/", PRODUCTS, b"/products/", _READ),
    Route(b"/api/orders", ORDERS, b"/orders", ("POST",), takes_key=True),
    Route(b"/api/orders/", ORDERS, b"/orders/", _READ),
    Route(b"/api/cart", ORDERS, b"/cart", (*_READ, "POST", "PUT", "DELETE")),
)
SERVICES = (PRODUCTS, ORDERS)
_by_path = {route.public: route for route in ROUTES}


def find(path: bytes) -> tuple[Route, bytes] | None:
    """Give the route of a (percent-encoded) path and the path at the upstream, or None."""
    route = _by_path.get(path)
    if route is not None:
        return None if path.endswith(b"/") else (route, route.upstream)
    head, _, last = path.rpartition(b"/")
    route = _by_path.get(head + b"/")
    if route is None or not last or last in {b".", b".."}:
        return None
    return route, route.upstream + last
