"""What every Flask service does the same way: request ids, logs, errors and answers in JSON.

`make_app` makes a Flask application with JSON errors; `Instrumented` wraps it for the server, adds
`X-Request-ID` and `X-Served-By`, counts, logs, and answers GET /metrics.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.wsgi import get_input_stream

from services.common import metrics
from services.common.failures import (
    DatabaseBusy,
    DatabaseDown,
    OutcomeUnknown,
    RedisDown,
    RedisFull,
)
from services.common.logs import Log
from services.common.metrics import Collect, Metrics, of_requests
from services.common.problems import MEDIA_TYPE, problem
from services.common.request_id import RequestIds
from services.common.request_stats import RequestStats
from services.common.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Answered = tuple[str, list[tuple[str, str]], bytes]  # status line, headers, body
Shortcut = Callable[["WSGIEnvironment"], Answered | None]

REQUEST_ID = "twinstack.request_id"
JSON = "application/json"
_dump = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str).encode


class ApiError(Exception):
    """An answer that says what is wrong. `code` is for programs, `message` for people."""

    def __init__(self, status: int, code: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details


def dump(payload: object) -> bytes:
    """Write JSON, compactly. A lone surrogate, no part of UTF-8, stays the escape that it was."""
    return _dump(payload).encode(errors="backslashreplace")


def answer(payload: object, status: int = 200, media_type: str = JSON) -> Response:
    """Answer with JSON."""
    return Response(dump(payload), status, content_type=media_type)


def request_id() -> str:
    """Give the id of the request being handled."""
    return str(request.environ.get(REQUEST_ID, ""))


def json_object() -> dict[str, Any]:
    """Read the request's body, which must be a JSON object.

    Raises: ApiError 400; werkzeug's RequestEntityTooLarge.
    """
    raw = request.get_data(cache=False)
    if not raw:
        raise ApiError(400, "empty_body", "the body is empty; a JSON object is expected")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ApiError(400, "not_json", f"the body is not JSON: {reason}") from None
    if not isinstance(value, dict):
        raise ApiError(400, "not_an_object", "the body is JSON, but not an object")
    return value


def make_app(settings: Settings, log: Log) -> Flask:
    """Make a Flask application: every error is a problem document with the request's id."""
    app = Flask(settings.service, static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.redirect_defaults = False
    app.url_map.merge_slashes = False

    def failed(status: int, code: str, message: str, **details: object) -> Response:
        body = problem(status, code, message, request_id(), **details)
        return answer(body, status, MEDIA_TYPE)

    @app.errorhandler(ApiError)
    def api_error(error: ApiError) -> Response:
        return failed(error.status, error.code, error.message, **error.details)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        code = error.name.lower().replace(" ", "_")
        message = error.description or error.name
        if status == 404:
            message = f"there is no {request.path} here"
        elif status == 405:
            message = f"{request.method} is not possible for {request.path}"
        elif status == 413:
            message = f"the body is larger than {settings.max_body_bytes} bytes"
        response = failed(status, code, message)
        if allow := dict(error.get_headers(request.environ)).get("Allow"):
            response.headers["Allow"] = allow
        return response

    def store_down(store: str, error: Exception) -> Response:
        log.event("error", f"{store} is down", reason=str(error), request_id=request_id())
        response = failed(503, f"{store}_unavailable", f"{store} cannot be reached now")
        response.headers["Retry-After"] = "1"
        return response

    @app.errorhandler(DatabaseBusy)
    def busy(error: DatabaseBusy) -> Response:
        log.event("warning", "the database is busy", reason=str(error), request_id=request_id())
        message = "another request holds what this one needs; nothing was changed, try again"
        response = failed(409, "database_busy", message)
        response.headers["Retry-After"] = "1"
        return response

    @app.errorhandler(RedisFull)
    def full(error: RedisFull) -> Response:
        log.event("warning", "redis is full", reason=str(error), request_id=request_id())
        message = "there is no room for more in any cart now; nothing was changed, try again later"
        response = failed(503, "redis_full", message)
        response.headers["Retry-After"] = "60"
        return response

    @app.errorhandler(OutcomeUnknown)
    def unknown(error: OutcomeUnknown) -> Response:
        log.event("error", "outcome of COMMIT unknown", reason=str(error), request_id=request_id())
        message = "the connection broke during COMMIT; repeat with the same Idempotency-Key"
        return failed(503, "outcome_unknown", message)

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        log.exception("unexpected error", request_id=request_id())
        return failed(500, "internal_error", "something unexpected went wrong; see the log")

    app.register_error_handler(DatabaseDown, partial(store_down, "database"))
    app.register_error_handler(RedisDown, partial(store_down, "redis"))
    return app


class Instrumented:
    """The application as the server calls it.

    `shortcut` answers a GET as the framework would, before that looks at it; or gives None.
    `sources` give the service's own families at /metrics, beside those of its requests.
    """

    def __init__(
        self,
        app: WSGIApplication,
        settings: Settings,
        log: Log,
        *sources: Collect,
        shortcut: Shortcut | None = None,
    ) -> None:
        self._app = app
        self._log = log
        self._served_by = ("X-Served-By", settings.replica)
        self._ids = RequestIds()
        self._shortcut = shortcut
        self._stats = RequestStats()
        self._metrics = Metrics(settings.workers, partial(of_requests, self._stats), *sources)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        this_id = self._ids.accept(environ.get("HTTP_X_REQUEST_ID"))
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        content = None
        if "CONTENT_LENGTH" in environ:
            environ["wsgi.input"] = content = get_input_stream(environ)
        found = None
        if self._shortcut is not None and method == "GET":
            found = self._shortcut(environ)
        counted = found is not None or path != "/health"
        if found is None and metrics.is_requested(method, path, environ.get("REMOTE_ADDR", "")):
            found, counted = self._exposition(method), False
        status, headers, body = found or self._dispatch(environ, this_id)
        headers += (self._served_by, ("X-Request-ID", this_id))
        while content and content.read(65_536):
            pass  # Left unread, it would end the connection, which the answer says is kept.
        start_response(status, headers)
        code, took_s = int(status[:3]), time.perf_counter() - started
        if counted:
            self._stats.add(method, code, took_s)
        self._log.request(this_id, method, path, code, took_s)
        return [body]

    def _exposition(self, method: str) -> Answered:
        status, text = self._metrics.answer()
        headers = [("Content-Type", metrics.CONTENT_TYPE), ("Content-Length", str(len(text)))]
        line = "200 OK" if status == 200 else "503 Service Unavailable"
        return line, headers, b"" if method == "HEAD" else text

    def _dispatch(self, environ: WSGIEnvironment, this_id: str) -> Answered:
        environ[REQUEST_ID] = this_id
        begun: list[Any] = ["500 Internal Server Error", []]

        def capture(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            begun[:] = status, headers

        chunks = self._app(environ, capture)
        try:
            body = b"".join(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        status, headers = begun
        return status, headers, body
