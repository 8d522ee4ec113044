"""How many requests may be sent a second time, so that a failing service is not asked twice; pure.

The rule is Finagle's: retries are a part of the answers, and a few each second on top, so that a
quiet service has some too. Counted only when one is asked for: a request costs nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass

RETRIES_PER_ANSWER = 0.2
RETRIES_PER_S = 10.0
RETRIES_AT_ONCE = 500.0  # a third of the requests that may be under way: one instance's of three


@dataclass(slots=True)
class RetryBudget:
    """The retries of one service. Times are on the caller's clock, in seconds."""

    _left: float = RETRIES_AT_ONCE
    _answers: int = 0
    _asked_at: float = 0.0
    taken: int = 0

    def take(self, answers: int, now: float) -> bool:
        """Take one retry if one is left. `answers`: those that the service gave so far."""
        earned = RETRIES_PER_ANSWER * max(0, answers - self._answers)
        earned += RETRIES_PER_S * (now - self._asked_at)
        self._left = min(self._left + earned, RETRIES_AT_ONCE)
        self._answers, self._asked_at = answers, now
        if self._left < 1:
            return False
        self._left -= 1
        self.taken += 1
        return True
