"""One plain request, to see what an entry point answers before it is loaded."""

from __future__ import annotations

import hashlib
import http.client
import time
from dataclasses import dataclass

from twinstack.errors import CannotTell
from twinstack.world import Endpoint


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def digest(self) -> str:
        """Name the body's content."""
        return hashlib.sha256(self.body).hexdigest()[:16]


def get(endpoint: Endpoint, path: str, *, timeout_s: float = 5.0) -> Response:
    """Ask once, on a connection of its own. Raises: CannotTell when there is no answer."""
    connection = http.client.HTTPConnection(endpoint.address, endpoint.port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, headers, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise CannotTell(
            endpoint.url(path),
            "does not answer",
            str(error) or type(error).__name__,
            'bring the world up ("invoke net.up", "invoke docker.up")',
        ) from error
    finally:
        connection.close()


def get_ok(endpoint: Endpoint, path: str) -> Response:
    """Ask once and insist on a 2xx answer. Raises: CannotTell."""
    answer = get(endpoint, path)
    if not 200 <= answer.status < 300:
        raise CannotTell(
            endpoint.url(path),
            f"answers {answer.status}",
            answer.body[:120].decode("utf-8", "replace"),
            "choose a --path that answers 2xx: errors are not measured",
        )
    return answer


def wait_ok(endpoint: Endpoint, path: str, *, timeout_s: float) -> Response:
    """Ask until the answer is 2xx. Raises: CannotTell with the last failure at the timeout."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return get_ok(endpoint, path)
        except CannotTell:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
