"""How an instance stands: whether the gateway may ask it, and how much of its share it takes; pure.

Times are on the caller's monotonic clock, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import inf

RAMP_S = 3.0  # an instance that comes back takes its full share after so long
SHARE_AT_FIRST = 0.1
STRIKES_OUT = 5  # a failure is one strike, a time-out is three; a good answer forgives them
EJECTED_S, EJECTED_MAX_S = 3.0, 30.0  # an outlier's first ejection; each further one is twice it
FORGIVEN_S = 60.0


class Rank(IntEnum):
    """The instances of the lowest rank that there is take turns."""

    WELL = 0
    ILL = 1  # its own /health is a 5xx, or it was ejected as an outlier
    UNREACHABLE = 2  # it refuses connections, or is silent


@dataclass(slots=True)
class Standing:
    """One instance's standing. A new instance is well, with its full share."""

    rank: Rank = Rank.WELL
    full_at: float = 0.0  # takes every turn from then on; infinite while it is out
    strikes: int = 0  # since the last good answer; kept when it comes back: the next one ejects
    out_until: float = 0.0  # an outlier stays out for so long, whatever its /health says
    ejections: int = 0  # as an outlier, each within FORGIVEN_S after the one before

    def leave(self, rank: Rank) -> None:
        """Take it out of the rotation until `enter`."""
        self.rank = rank
        self.full_at = inf
        self.strikes = STRIKES_OUT

    def eject(self, now: float) -> None:
        """Take an outlier out, for longer each time."""
        self.ejections = 1 if now > self.out_until + FORGIVEN_S else self.ejections + 1
        self.out_until = now + min(EJECTED_S * 2.0 ** (self.ejections - 1), EJECTED_MAX_S)
        self.leave(Rank.ILL)

    def enter(self, now: float) -> bool:
        """Let it come back, with a small share at first; say whether it does so now."""
        if self.rank is Rank.WELL or now < self.out_until:
            return False
        self.rank = Rank.WELL
        self.full_at = now + RAMP_S
        return True

    def share(self, now: float) -> float:
        """Give the part of its turns that it takes, from 0 to 1."""
        if self.rank is not Rank.WELL:
            return 0.0
        return min(1.0, max(SHARE_AT_FIRST, 1.0 - (self.full_at - now) / RAMP_S))
