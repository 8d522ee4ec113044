"""Which path goes where, and by which methods, from the table of the public interface; pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.api.operations import GATEWAY, KEY, ApiOperation
from services.api.table import OPERATIONS

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
    def is_prefix(self) -> bool:
        return self.public.endswith(b"/") and self.public != b"/"

    @property
    def allow(self) -> bytes:
        return ", ".join(self.methods).encode()

    def is_idempotent(self, method: str, has_key: bool) -> bool:
        """Tell whether a request may be sent again that may have been carried out."""
        return method in _IDEMPOTENT or (self.takes_key and has_key)


def _routes() -> tuple[Route, ...]:
    by_path: dict[str, list[ApiOperation]] = {}
    for operation in OPERATIONS:
        if operation.service != GATEWAY:
            by_path.setdefault(operation.path, []).append(operation)
    return tuple(map(_route, by_path.values()))


def _route(operations: list[ApiOperation]) -> Route:
    methods: list[str] = []
    for operation in operations:
        methods += ["GET", "HEAD"] if operation.method == "GET" else [operation.method]
    first = operations[0]
    return Route(
        _prefix(first.path),
        first.service,
        _prefix(first.upstream),
        tuple(methods),
        takes_key=any(KEY in operation.parameters for operation in operations),
    )


def _prefix(path: str) -> bytes:
    return path.partition("{")[0].encode()


ROUTES = _routes()
SERVICES = tuple(dict.fromkeys(route.service for route in ROUTES))
_paths = {route.public: route for route in ROUTES if not route.is_prefix}
_prefixes = {route.public: route for route in ROUTES if route.is_prefix}


def find(path: bytes) -> tuple[Route, bytes] | None:
    """Give the route of a (percent-encoded) path and the path at the upstream, or None."""
    route = _paths.get(path)
    if route is not None:
        return route, route.upstream
    head, _, last = path.rpartition(b"/")
    route = _prefixes.get(head + b"/")
    if route is None or not last or last in {b".", b".."}:
        return None
    return route, route.upstream + last
