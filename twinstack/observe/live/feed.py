"""The samples of several worlds, for any number of readers: the latest, and those before.

Of three minutes there is each replica's state too, of an hour the world's own figures (`hour`).

One child per world watches it and writes each sample as a line of JSON; a thread takes the lines.
A reader waits for a newer sample and takes the latest: a slow reader misses samples, and delays no
other. Events are numbered, so that no reader misses one.
"""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from twinstack.linux import child
from twinstack.model.topology import WorldName
from twinstack.observe.live.health import HealthRuns, StateRun
from twinstack.observe.live.hour import Hour, columns
from twinstack.observe.live.model import WorldSample
from twinstack.observe.live.prober import require_namespaces
from twinstack.observe.live.watcher import LOOK_AGAIN_S, FindWorld, watch
from twinstack.printable import plain

#: How long the samples of a world are kept. There is one a second, and one more where a process
#: ended.
KEPT_S = 180.0
_MOST_KEPT = 360
EVENTS_KEPT = 240
_LETTERS: Mapping[str, str] = {"up": "u", "degraded": "g", "down": "d", "absent": "a"}
_NOT_SEEN = "-"


@dataclass(frozen=True, slots=True)
class Latest:
    """A world's latest sample."""

    number: int  # counts up from 1
    document: Mapping[str, Any]
    line: bytes  # the same, as it came


class _History:
    """When a world's samples came, the rate at its edge, and its replicas' states, as columns."""

    def __init__(self) -> None:
        self.at: deque[float] = deque(maxlen=_MOST_KEPT)
        self.rates: deque[float | None] = deque(maxlen=_MOST_KEPT)
        self.states: dict[str, deque[str]] = {}

    def _forget(self) -> None:
        for column in (self.at, self.rates, self.states):
            column.clear()

    def take(self, document: Mapping[str, Any]) -> None:
        """Add a sample; a replica that it lacks was not seen then."""
        if self.at and document["at"] < self.at[-1]:  # the clock was set back
            self._forget()
        letters = {one["name"]: _LETTERS[one["state"]] for one in document["replicas"]}
        for name in letters.keys() - self.states.keys():
            self.states[name] = deque(_NOT_SEEN * len(self.at), _MOST_KEPT)
        self.at.append(document["at"])
        self.rates.append(document["rate"])
        for name, seen in self.states.items():
            seen.append(letters.get(name, _NOT_SEEN))
        while self.at[0] < self.at[-1] - KEPT_S:
            columns: tuple[deque[Any], ...] = (self.at, self.rates, *self.states.values())
            for column in columns:
                column.popleft()
        gone = [name for name, seen in self.states.items() if set(seen) == {_NOT_SEEN}]
        for name in gone:
            del self.states[name]

    def columns(self) -> dict[str, Any]:
        """Give the columns, oldest first: states as a letter for each sample."""
        states = {name: "".join(seen) for name, seen in self.states.items()}
        return {"at": list(self.at), "rates": list(self.rates), "states": states}


class Feed:
    """Samples of some worlds. Thread-safe."""

    def __init__(self, worlds: Sequence[WorldName]) -> None:
        self.worlds = tuple(worlds)
        self._changed = threading.Condition()
        self._latest: dict[WorldName, Latest] = {}
        self._histories: dict[WorldName, _History] = {name: _History() for name in worlds}
        self._health = {name: HealthRuns() for name in worlds}
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._event_count = 0
        self._hours = {name: Hour() for name in worlds}
        self._since = (time.time(), "the dashboard was started")
        self.ended = False

    def take(self, name: WorldName, line: bytes) -> None:
        """Add a sample."""
        document = json.loads(line)
        with self._changed:
            number = self._latest[name].number + 1 if name in self._latest else 1
            self._latest[name] = Latest(number, document, line)
            self._histories[name].take(document)
            self._health[name].take(document)
            if not self._hours[name].take(document):
                self._since = (document["at"], "the clock was set back")
            for event in document["events"]:
                self._event_count += 1
                self._events.append({"number": self._event_count, "world": name, **event})
            self._changed.notify_all()

    def end(self) -> None:
        """Wake every reader: no more samples will come."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def latest(self) -> dict[WorldName, Latest]:
        """Give the latest sample of each world that has one."""
        with self._changed:
            return dict(self._latest)

    def after(self, seen: Mapping[WorldName, int], timeout_s: float) -> dict[WorldName, Latest]:
        """Wait for samples newer than those seen; {} after the timeout, or the end."""

        def newer() -> dict[WorldName, Latest]:
            latest = self._latest.items()
            return {name: one for name, one in latest if one.number > seen.get(name, 0)}

        with self._changed:
            self._changed.wait_for(lambda: self.ended or bool(newer()), timeout_s)
            return {} if self.ended else newer()

    def events_after(self, number: int) -> list[dict[str, Any]]:
        """Give the events after a number, oldest first, as far as they are kept."""
        with self._changed:
            return [event for event in self._events if event["number"] > number]

    def health(self, name: WorldName, replica: str) -> tuple[StateRun, ...]:
        """Give the states of a replica in the last hour, oldest first."""
        with self._changed:
            return self._health[name].of(replica)

    def history(self) -> dict[str, Any]:
        """Give each world's samples of the last KEPT_S as columns, and the events, oldest first.

        `now` is of the same clock as the samples, so that a reader sees how old the last ones are.
        """
        with self._changed:
            worlds = {name: history.columns() for name, history in self._histories.items()}
            return {"now": time.time(), "worlds": worlds, "events": list(self._events)}

    def hour(self) -> dict[str, Any]:
        """Give the figures of each world's last hour (`Hour.columns`), since when, and why then."""
        with self._changed:
            worlds = {name: hour.columns() for name, hour in self._hours.items()}
            return {"since": self._since[0], "why": self._since[1], "worlds": worlds}

    def means_after(self, closed: Mapping[WorldName, int]) -> dict[WorldName, dict[str, Any]]:
        """Give each world's means after so many, as columns, and how many there have been now."""
        with self._changed:
            return {
                name: {"means": columns(hour.after(closed[name])), "closed": hour.closed}
                for name, hour in self._hours.items()
                if hour.closed > closed[name]
            }

    def wait_for_all(self, timeout_s: float, samples: int = 1) -> dict[WorldName, Latest]:
        """Wait until each world has sent so many samples, or is not up."""

        def complete() -> bool:
            latest = self._latest.values()
            enough = all(one.number >= samples or not one.document["up"] for one in latest)
            return enough and len(latest) == len(self.worlds)

        with self._changed:
            self._changed.wait_for(complete, timeout_s)
            return dict(self._latest)


@contextmanager
def watching(worlds: Mapping[WorldName, FindWorld]) -> Iterator[Feed]:
    """Watch worlds while the block lasts; from the main thread. Raises: StepFailed without root."""
    child.inside("the watcher", None, require_namespaces)
    feed = Feed(tuple(worlds))
    with ExitStack() as children:
        threads = []
        for name, find in worlds.items():
            reading, writing = os.pipe()
            work = partial(_watch_forever, name, find, writing)
            children.enter_context(
                child.staying(f"the watcher of {name}", None, lambda: None, work)
            )
            os.close(writing)
            threads.append(threading.Thread(target=_read, args=(feed, name, reading), daemon=True))
        children.callback(feed.end)
        for thread in threads:
            thread.start()
        yield feed


def _watch_forever(name: WorldName, find: FindWorld, writing: int) -> None:
    """Watch in a child; a bug's error is sent as a sample, and the watcher starts over."""
    while True:
        try:
            watch(name, find, partial(_write, writing))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            trouble = f"its watcher failed: {error!r} ({Path(where.filename).name}:{where.lineno})"
            _write(writing, WorldSample(name, time.time(), False, trouble=trouble))
        time.sleep(LOOK_AGAIN_S)


def _write(handle: int, sample: WorldSample) -> None:
    line = json.dumps(plain(asdict(sample)), separators=(",", ":"), default=str, allow_nan=False)
    view = memoryview(line.encode() + b"\n")
    while view:
        view = view[os.write(handle, view) :]


def _read(feed: Feed, name: WorldName, reading: int) -> None:
    with os.fdopen(reading, "rb") as pipe:
        for line in pipe:
            feed.take(name, line.rstrip())
    if not feed.ended:
        sample = WorldSample(name, time.time(), False, trouble="its watcher ended; start again")
        feed.take(name, json.dumps(asdict(sample)).encode())
