"""Bounds of what a task's options may be, checked before anything is done; pure."""

from __future__ import annotations

from twinstack.errors import WrongUse

#: How long `up` waits for healthy services unless --timeout says otherwise.
UP_TIMEOUT_S = 60
MOST_SECONDS = 86_400
MOST_LINES, _MOST_TIMES = 1_000_000, 100


def within(option: str, value: float, least: float, most: float, why: str = "") -> None:
    """Refuse a value outside its bounds. Raises: WrongUse."""
    if not least <= value <= most:
        cause = why if why and value < least else f"it is {least} to {most}"
        raise WrongUse(f"--{option}", f"cannot be {value}", cause, "choose another")


def timeout(value: int) -> None:
    """Refuse to wait for no time, or forever. Units: seconds. Raises: WrongUse."""
    within("timeout", value, 1, MOST_SECONDS, "it is a time in seconds, more than 0")


def lines(value: int) -> None:
    """Refuse to show no line. Raises: WrongUse."""
    within("lines", value, 1, MOST_LINES)


def times(value: int) -> None:
    """Refuse to do nothing. Raises: WrongUse."""
    within("times", value, 1, _MOST_TIMES)
