"""Which values an option may have: told in one line, before anything is measured; pure."""

from __future__ import annotations

from bench.engine.statistics import MINIMUM_PAIRS
from twinstack.errors import TwinstackError

#: More than this at once, or in a run, is another tool's work.
MOST_REQUESTS, MOST_CLIENTS, MOST_ROUNDS, MOST_TIMES = 1_000_000, 1_000, 1_000, 100
MOST_SECONDS, MOST_LINES = 86_400, 1_000_000


def within(option: str, value: int, least: int, most: int, why: str = "") -> None:
    """Refuse a value outside its bounds. Raises: TwinstackError."""
    if not least <= value <= most:
        cause = why if why and value < least else f"it is {least} to {most}"
        raise TwinstackError(f"--{option}", f"cannot be {value}", cause, "choose another")


def rounds(value: int) -> None:
    """Refuse rounds that no interval can be made of. Raises: TwinstackError."""
    within(
        "rounds",
        value,
        MINIMUM_PAIRS,
        MOST_ROUNDS,
        f"an interval needs {MINIMUM_PAIRS} rounds at least",
    )


def load(requests: int, concurrency: int) -> None:
    """Refuse a load that `ab` cannot send. Raises: TwinstackError."""
    within("requests", requests, 1, MOST_REQUESTS)
    within("concurrency", concurrency, 1, MOST_CLIENTS)
    if requests < concurrency:
        raise TwinstackError(
            "--requests",
            f"cannot be {requests}",
            f"{concurrency} at once need as many",
            "raise it, or lower --concurrency",
        )


def timeout(value: int) -> None:
    """Refuse to wait for no time, or for ever. Units: seconds. Raises: TwinstackError."""
    within("timeout", value, 1, MOST_SECONDS, "it is a time in seconds, more than 0")


def lines(value: int) -> None:
    """Refuse to show no line. Raises: TwinstackError."""
    within("lines", value, 1, MOST_LINES)


def times(value: int) -> None:
    """Refuse not to measure. Raises: TwinstackError."""
    within("times", value, 1, MOST_TIMES)
