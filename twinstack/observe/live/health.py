"""How long each replica of a world was in which state, for an hour. Pure.

A sample holds until the next one. After a longer silence nothing is known of the time between, and
a replica that a sample lacks is unknown too: there is a gap between two runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twinstack.printable import cut

KEPT_S = 3600.0
#: After this long without a sample, a state is no longer known; the page has the same number.
SILENT_S = 8.0
#: Of one replica; one that restarts all the time has two in each of its restarts.
MOST_RUNS = 200
_DETAIL = 120  # characters


@dataclass(slots=True)
class StateRun:
    """A replica in one state. Units: seconds of the epoch."""

    state: str
    begin: float
    end: float  # of the last sample that had it, or the first that had another
    detail: str = ""  # what its last sample said of it


class HealthRuns:
    """The runs of a world's replicas, oldest first."""

    def __init__(self) -> None:
        self._runs: dict[str, deque[StateRun]] = {}
        self._at = 0.0

    def take(self, document: Mapping[str, Any]) -> None:
        """Add a sample."""
        at = float(document["at"])
        if at < self._at:  # the clock was set back
            self._runs.clear()
        self._at = at
        for replica in document["replicas"]:
            runs = self._runs.setdefault(replica["name"], deque(maxlen=MOST_RUNS))
            detail = cut(replica["detail"][: _DETAIL + 1], _DETAIL)
            last = runs[-1] if runs and at - runs[-1].end <= SILENT_S else None
            if last:
                last.end = at
            if last and last.state == replica["state"]:
                last.detail = detail
            else:
                runs.append(StateRun(replica["state"], at, at, detail))
        for name, runs in list(self._runs.items()):
            while runs and runs[0].end < at - KEPT_S:
                runs.popleft()
            if not runs:
                del self._runs[name]

    def of(self, replica: str) -> tuple[StateRun, ...]:
        """Give a replica's runs as they are now."""
        return tuple(
            StateRun(run.state, run.begin, run.end, run.detail)
            for run in self._runs.get(replica, ())
        )
