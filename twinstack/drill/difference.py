"""What differs between two snapshots of a world, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from twinstack.drill import rules
from twinstack.drill.kernel_state import DRAWN, PlaceState, Scope
from twinstack.drill.snapshot import Snapshot
from twinstack.model.plan import HOST

Values = Mapping[str, str]


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
        was = before.places.get(place, _NOTHING)
        now = after.places.get(place, _NOTHING)
        for part, one, other in (
            ("its network namespace", was.network, now.network),
            ("its process", was.processes, now.processes),
            ("what the engine has of it", was.engine, now.engine),
        ):
            found += _values(place, part, one, other)
        if was.network and now.network:
            found += _rules(place, was, now, scope if place == HOST else Scope(all_of_it=True))
    return tuple(found)


_NOTHING = PlaceState({}, {})


def _values(place: str, part: str, was: Values, now: Values) -> Iterator[Difference]:
    if bool(was) != bool(now):  # one sentence for all of it
        yield Difference(place, part, "there" if was else None, "there" if now else None)
        return
    links = {key for key in {*was} ^ {*now} if key.startswith("link ")}
    for key in dict.fromkeys((*was, *now)):
        one, other = was.get(key), now.get(key)
        if one == other or (key.startswith(DRAWN) and None in {one, other}):
            continue
        # Of a link that is gone or new its attributes say nothing more.
        if not any(key.startswith(f"{link} ") for link in links):
            yield Difference(place, key, one, other)


def _rules(place: str, before: PlaceState, after: PlaceState, scope: Scope) -> Iterator[Difference]:
    was: str | None
    now: str | None
    for change in rules.changes(before.rules, after.rules, scope):
        what = f"rule of {change.table}: {change.line}"
        was, now = (None, "") if change.new else ("", None)
        yield Difference(place, what, was, now, change.ours)
