"""Wait until something is so, within a bound."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(done: Callable[[], object], within_s: float, every_s: float = 0.05) -> bool:
    """Look again and again until something is true; tell whether it was in time.

    It is looked at once at least.
    """
    deadline_s = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(every_s)
    return True
