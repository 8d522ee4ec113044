"""Query the tests' own Docker world: over HTTP, its services, its engine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from tests.support.own_engine import ENGINE, INSTANCE, in_namespace
from twinstack.compose.engine import connect

UP_TIMEOUT_S = 90.0
BACK_WITHIN_S = 5.0

_FETCH = """
import sys, urllib.error, urllib.request
method, url, body, session = sys.argv[1:]
headers = {"Content-Type": "application/json"} | ({"X-Session-ID": session} if session else {})
request = urllib.request.Request(url, body.encode() or None, headers, method=method)
try:
    with urllib.request.urlopen(request, timeout=5) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
except OSError as error:
    print(0, error)
"""


def fetch(url: str, method: str = "GET", body: str = "", session: str = "") -> tuple[int, str]:
    """Ask a URL from the tests' host; status 0 for no answer."""
    words = in_namespace(sys.executable, "-c", _FETCH, method, url, body, session).split(" ", 1)
    return int(words[0]), words[1].strip()


def until(truth: Callable[[], bool], within_s: float) -> float:
    """Wait for a truth and give how long it took."""
    start = time.monotonic()
    while not truth():
        assert time.monotonic() - start < within_s, f"not within {within_s} s"
        time.sleep(0.1)
    return time.monotonic() - start


def containers() -> dict[str, dict[str, Any]]:
    client = connect(ENGINE)
    assert client is not None
    labelled = client.containers.list(all=True, filters={"label": f"twinstack.instance={INSTANCE}"})
    return {container.labels["twinstack.replica"]: container.attrs for container in labelled}
