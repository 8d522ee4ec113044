"""Ask a URL's products and an empty cart at a steady rate for some seconds; print what failed.

Usage: steady_load.py URL SECONDS. Each request is on a connection of its own, or on the one kept.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from urllib.parse import urlsplit

RATE_PER_S = 40
TIMEOUT_S = 10.0
PATHS = ("/api/products", "/api/cart", "/api/products/3")


def ask(link: http.client.HTTPConnection, path: str) -> str:
    """Send one request; say how it failed, "" if it did not."""
    try:
        link.request("GET", path)
        response = link.getresponse()
        body = response.read()
        return "" if response.status == 200 else f"{response.status} {body[:200]!r}"
    except (OSError, http.client.HTTPException) as error:
        link.close()
        return f"{type(error).__name__}: {error}"


def main(url: str, seconds: float) -> dict[str, object]:
    address = urlsplit(url)
    link = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_S)
    began = time.monotonic()
    failed: list[str] = []
    slowest_s, count = 0.0, 0
    while (at_s := time.monotonic() - began) < seconds:
        path = PATHS[count % len(PATHS)]
        problem = ask(link, path)
        took_s = time.monotonic() - began - at_s
        slowest_s = max(slowest_s, took_s)
        if problem:
            failed.append(f"{at_s:.1f} s {path}: {problem}")
        count += 1
        time.sleep(max(0.0, began + count / RATE_PER_S - time.monotonic()))
    return {"sent": count, "failed": failed, "slowest_s": round(slowest_s, 3)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], float(sys.argv[2]))))
