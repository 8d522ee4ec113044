"""What differs between two snapshots of a world, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twinstack.drill import rules
from twinstack.drill.kernel_state import DRAWN, PlaceState, Scope
from twinstack.drill.snapshot import Snapshot
from twinstack.model.plan import HOST


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was; None: it is, or was, not there."""

    place: str  # the host or a replica
    what: str
    was: str | None
    now: str | None
    ours: bool = True  # else a stranger's, which is only mentioned

    def __str__(self) -> str:
        if self.was is None:
            more = f" ({self.now})" if self.now else ""
            return f"{self.place}: {self.what} is new{more}"
        if self.now is None:
            return f"{self.place}: {self.what} is gone"
        return f"{self.place}: {self.what} is {self.now or 'empty'}, was {self.was or 'empty'}"


def differences(before: Snapshot, after: Snapshot, scope: Scope) -> tuple[Difference, ...]:
    """List all that differs; `scope` tells what of the host is ours."""
    found: list[Difference] = []
    for place in dict.fromkeys((*before.places, *after.places)):
        was, now = before.places.get(place), after.places.get(place)
        if was is None or now is None:
            found.append(Difference(place, "it", _presence(was), _presence(now)))
            continue
        found += _values(place, was, now)
        found += _rules(place, was, now, scope if place == HOST else Scope(all_of_it=True))
    return tuple(found)


def _presence(state: PlaceState | None) -> str | None:
    return None if state is None else "there"


def _values(place: str, was: PlaceState, now: PlaceState) -> Iterator[Difference]:
    gone = {key for key in was.values if key.startswith("link ") and key not in now.values}
    new = {key for key in now.values if key.startswith("link ") and key not in was.values}
    for key in dict.fromkeys((*was.values, *now.values)):
        one, other = was.values.get(key), now.values.get(key)
        if one == other or (key.startswith(DRAWN) and None in {one, other}):
            continue
        # Of a link that is gone or new its attributes say nothing more.
        if any(key != link and key.startswith(f"{link} ") for link in (*gone, *new)):
            continue
        yield Difference(place, key, one, other)


def _rules(place: str, before: PlaceState, after: PlaceState, scope: Scope) -> Iterator[Difference]:
    was: str | None
    now: str | None
    for change in rules.changes(before.rules, after.rules, scope):
        what = f"rule of {change.table}: {change.line}"
        was, now = (None, "") if change.new else ("", None)
        yield Difference(place, what, was, now, change.ours)
