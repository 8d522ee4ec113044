"""The instances of one service: which is next, which is passed over, and when it comes back.

Out of the rotation are instances that cannot be reached, those that say at /health that they are
ill, and outliers: those that fail several times in a row while another answers well. At least half
are never ejected as outliers. What comes back does so slowly. If all are out, all take turns: those
that can be reached, if there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from random import random

from services.api_gateway.client import Upstream
from services.api_gateway.connection import ConnectFailed, Slow, TimedOut, UpstreamError
from services.api_gateway.membership import Registered
from services.api_gateway.retry_budget import RetryBudget
from services.api_gateway.standing import STRIKES_OUT, Rank
from services.common.logs import Log

TIME_OUT_STRIKES = 3


class Rotation:
    """The instances of one service, in turn."""

    def __init__(
        self, log: Log, clock: Callable[[], float], chance: Callable[[], float] = random
    ) -> None:
        self.upstreams: list[Upstream] = []
        self._next = 0
        self._retries = RetryBudget()
        self._log = log
        self._clock = clock
        self._chance = chance

    def pick(self, tried: Collection[Upstream] = ()) -> Upstream | None:
        """Give the next instance that was not tried; one that is out only if there is no other."""
        now = self._clock()
        upstreams = self.upstreams
        start = self._next
        for step in range(start, start + len(upstreams)):
            upstream = upstreams[step % len(upstreams)]
            if upstream in tried:
                continue
            standing = upstream.standing
            if standing.full_at <= now or standing.share(now) > self._chance():
                self._next = step % len(upstreams) + 1
                return upstream
        places = [step % len(upstreams) for step in range(start, start + len(upstreams))]
        left = [place for place in places if upstreams[place] not in tried]
        if not left:
            return None
        place = min(left, key=lambda place: upstreams[place].standing.rank)
        self._next = place + 1
        return upstreams[place]

    def live(self) -> int:
        """Count the instances that can be reached."""
        return sum(u.standing.rank is not Rank.UNREACHABLE for u in self.upstreams)

    @property
    def retries(self) -> int:
        """The retries that were taken so far."""
        return self._retries.taken

    def take_retry(self) -> bool:
        """Take one retry from the budget if one is left."""
        return self._retries.take(sum(u.answers for u in self.upstreams), self._clock())

    def take_retry_besides(self, upstream: Upstream) -> bool:
        """Take one retry if one is left, and another instance than `upstream` is well."""
        return bool(self._well_besides(upstream)) and self.take_retry()

    def answered(self, upstream: Upstream) -> None:
        """Note a good answer to a request, of an instance that failed before."""
        upstream.standing.strikes = 0
        if upstream.standing.rank is Rank.UNREACHABLE:
            self.passed(upstream)

    def failed(self, upstream: Upstream, why: UpstreamError | int) -> None:
        """Note a failed request: an error, or a status of 500 or more."""
        standing = upstream.standing
        if isinstance(why, ConnectFailed):
            self.out(upstream, Rank.UNREACHABLE, str(why))
            return
        standing.strikes += TIME_OUT_STRIKES if isinstance(why, TimedOut | Slow) else 1
        if standing.strikes < STRIKES_OUT or standing.rank is not Rank.WELL:
            return
        others = self._well_besides(upstream)
        if 2 * len(others) < len(self.upstreams) or all(o.standing.strikes for o in others):
            return  # the floor; or all fail alike, so this one is no outlier
        standing.eject(self._clock())
        reason = f"status {why} several times" if isinstance(why, int) else str(why)
        self._log.event("warning", "instance ejected", instance=upstream.name, reason=reason)

    def out(self, upstream: Upstream, rank: Rank, reason: str) -> None:
        """Pass an instance over until a check finds it well."""
        if upstream.standing.rank is Rank.WELL:
            self._log.event("warning", "instance ejected", instance=upstream.name, reason=reason)
        upstream.standing.leave(rank)

    def passed(self, upstream: Upstream) -> None:
        """Note that an instance is well: it comes back if it was out."""
        if upstream.standing.enter(self._clock()):
            self._log.event("info", "instance is back", instance=upstream.name)

    def update(self, members: Iterable[Registered]) -> list[Upstream]:
        """Have these instances from now on; give the upstreams that are gone."""
        known = {old.key: old for old in self.upstreams}
        current = {key: known.get(key) or Upstream(*key) for key in sorted(members)}
        self.upstreams = list(current.values())
        return [old for key, old in known.items() if key not in current]

    def _well_besides(self, upstream: Upstream) -> list[Upstream]:
        return [
            other
            for other in self.upstreams
            if other is not upstream and other.standing.rank is Rank.WELL
        ]
