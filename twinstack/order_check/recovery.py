"""How long after a fault some requests still fail; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twinstack.order_check.history import CausedFault, Operation

#: What keeps data; its replica's return is what recovery counts from.
STORES = frozenset({"redis-cache", "postgres-db"})
#: A request that was sent so shortly before the next fault fails because of that one.
_CAUGHT_S = 1.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one round of faults cost. Units: seconds."""

    struck: tuple[CausedFault, ...]
    seconds: float  # from the end of the last to the last failure of a request sent after it
    failed: int  # requests sent after it that failed
    calm_s: float  # how long nothing was broken then: a recovery can't be seen to last longer
    last: Operation | None = None  # the last failure

    @property
    def has_store(self) -> bool:
        return any(struck.service in STORES for struck in self.struck)


def recoveries(operations: Sequence[Operation], struck: Sequence[CausedFault]) -> list[Recovery]:
    """Give the recovery from each round of faults."""
    rounds: list[list[CausedFault]] = []
    for each in sorted(struck, key=lambda fault: fault.began_s):
        if rounds and each.began_s < max(map(_over_s, rounds[-1])) + 1.0:
            rounds[-1].append(each)
        else:
            rounds.append([each])
    if not rounds:
        return []
    begins = [min(fault.began_s for fault in faults) for faults in rounds[1:]]
    last_s = max((each.ended_s for each in operations), default=0.0)
    failures = [each for each in operations if each.outcome == "unknown"]
    found = []
    for faults, next_s in zip(rounds, [*begins, last_s], strict=True):
        over_s = max(map(_over_s, faults))
        late = [
            each
            for each in failures
            if over_s <= each.invoked_s < next_s - (_CAUGHT_S if each.ended_s > next_s else 0)
        ]
        last = max(late, key=lambda each: each.ended_s, default=None)
        seconds = last.ended_s - over_s if last else 0.0
        found.append(Recovery(tuple(faults), seconds, len(late), next_s - over_s, last))
    return found


def _over_s(struck: CausedFault) -> float:
    """Give when a fault is over: a store's when it is back, any other's when it has happened."""
    return max(struck.ended_s, struck.back_s) if struck.service in STORES else struck.ended_s
