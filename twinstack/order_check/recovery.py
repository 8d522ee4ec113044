"""How long after a fault some requests still fail, or are to be tried again; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twinstack.order_check.history import BUSY, CausedFault, Operation

#: A request that was sent so shortly before the next fault fails because of that one.
_CAUGHT_S = 1.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one round of faults cost. Units: seconds."""

    struck: tuple[CausedFault, ...]
    seconds: float  # from when all was over to the last failure of a request sent after it
    failed: int  # requests sent after it that failed
    calm_s: float  # how long nothing was broken then: a recovery can't be seen to last longer
    last: Operation | None = None  # the last failure

    @property
    def has_store(self) -> bool:
        return any(struck.store for struck in self.struck)

    @property
    def is_slow(self) -> bool:
        """Say whether it took longer than promised."""
        return self.seconds > max(struck.within_s for struck in self.struck)


def recoveries(operations: Sequence[Operation], struck: Sequence[CausedFault]) -> list[Recovery]:
    """Give the recovery from each round of faults."""
    rounds: list[list[CausedFault]] = []
    for each in sorted(struck, key=lambda fault: fault.began_s):
        if rounds and each.began_s < max(fault.over_s for fault in rounds[-1]) + 1.0:
            rounds[-1].append(each)
        else:
            rounds.append([each])
    if not rounds:
        return []
    begins = [min(fault.began_s for fault in faults) for faults in rounds[1:]]
    last_s = max((each.ended_s for each in operations), default=0.0)
    failures = [each for each in operations if each.outcome == "unknown" or each.error == BUSY]
    found = []
    for faults, next_s in zip(rounds, [*begins, last_s], strict=True):
        over_s = max(fault.over_s for fault in faults)
        late = [
            each
            for each in failures
            if over_s <= each.invoked_s < next_s - (_CAUGHT_S if each.ended_s > next_s else 0)
        ]
        last = max(late, key=lambda each: each.ended_s, default=None)
        seconds = last.ended_s - over_s if last else 0.0
        found.append(Recovery(tuple(faults), seconds, len(late), next_s - over_s, last))
    return found
