"""One plain request, to see what an entry point answers before it is loaded."""

from __future__ import annotations

import http.client
import time

from twinstack.errors import CannotTell
from twinstack.world import Endpoint


def get_ok(endpoint: Endpoint, path: str, *, timeout_s: float = 5.0) -> bytes:
    """Ask once, on its own connection; gives the body. Raises: CannotTell unless it is 2xx."""
    url = endpoint.url(path)
    connection = http.client.HTTPConnection(endpoint.address, endpoint.port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        cause = str(error) or type(error).__name__
        remedy = 'bring the world up ("invoke net.up", "invoke docker.up")'
        raise CannotTell(url, "does not answer", cause, remedy) from error
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        cause = body[:120].decode("utf-8", "replace")
        remedy = "choose a --path that answers 2xx: errors are not measured"
        raise CannotTell(url, f"answers {response.status}", cause, remedy)
    return body


def wait_ok(endpoint: Endpoint, path: str, *, timeout_s: float) -> bytes:
    """Ask until the answer is 2xx. Raises: CannotTell with the last failure at the timeout."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return get_ok(endpoint, path)
        except CannotTell:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
