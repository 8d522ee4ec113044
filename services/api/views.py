"""The table as Flask needs it: views registered by it, and query parameters read as it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import request
from flask.sansio.scaffold import Scaffold
from flask.typing import RouteCallable

from services.api.operations import Parameter
from services.api.schemas import whole_in
from services.api.table import BY_NAME
from services.common.wsgi import ApiError

View = TypeVar("View", bound=RouteCallable)


def serves(app: Scaffold, name: str) -> Callable[[View], View]:
    """Make a function the view of the operation `name`. Raises: KeyError."""
    operation = BY_NAME[name]

    def register(view: View) -> View:
        app.route(operation.rule, methods=[operation.method], endpoint=name)(view)
        return view

    return register


def query_number(parameter: Parameter) -> int | None:
    """Read a whole number from the query; None where it is left out. Raises: ApiError 400."""
    given = request.args.getlist(parameter.name)
    if not given:
        return None
    low, high = parameter.schema["minimum"], parameter.schema["maximum"]
    number = whole_in(given[0])
    if len(given) > 1 or number is None or not low <= number <= high:
        message = f"{parameter.name} must be given once, as a whole number from {low} to {high}"
        raise ApiError(400, "bad_request", message, field=parameter.name)
    return number
