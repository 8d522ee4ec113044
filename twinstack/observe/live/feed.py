"""What the watchers told, for whoever looks: the latest, and a little history.

One child for each world watches and writes a line for each sample; a thread takes them in. Who
looks waits for something new and takes the latest there is: a slow one misses samples, and keeps
nobody waiting. What happened is numbered, so that nobody misses that.
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
from pathlib import Path
from typing import Any

from twinstack.linux import child
from twinstack.model.topology import WorldName
from twinstack.observe.live.documents import WorldSample
from twinstack.observe.live.prober import require_namespaces
from twinstack.observe.live.watcher import LOOK_AGAIN_S, Give, watch
from twinstack.printable import plain

#: Samples that are kept of each world: three minutes.
KEPT = 180
EVENTS_KEPT = 60
_MARKS: Mapping[str, str] = {"up": "u", "degraded": "g", "down": "d", "absent": "a"}


@dataclass(frozen=True, slots=True)
class Latest:
    """A world's latest sample: as a document, and as the line that it came as."""

    number: int
    document: Mapping[str, Any]
    line: bytes


class Feed:
    """Samples of some worlds. Safe in threads."""

    def __init__(self, worlds: Sequence[WorldName]) -> None:
        self.worlds = tuple(worlds)
        self._news = threading.Condition()
        self._latest: dict[WorldName, Latest] = {}
        self._rates: dict[WorldName, deque[tuple[float, float | None, float | None]]]
        self._rates = {name: deque(maxlen=KEPT) for name in worlds}
        self._marks: dict[WorldName, dict[str, deque[str]]] = {name: {} for name in worlds}
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._happened = 0
        self._ended = False

    def take(self, name: WorldName, line: bytes) -> None:
        """Take a sample in."""
        document = json.loads(line)
        with self._news:
            number = self._latest[name].number + 1 if name in self._latest else 1
            self._latest[name] = Latest(number, document, line)
            self._rates[name].append((document["at"], document["rate"], document["mean_ms"]))
            for one in document["replicas"]:
                marks = self._marks[name].setdefault(one["name"], deque(maxlen=KEPT))
                marks.append(_MARKS[one["state"]])
            for event in document["events"]:
                self._happened += 1
                self._events.append({"number": self._happened, "world": name, **event})
            self._news.notify_all()

    def end(self) -> None:
        """Let nobody wait any longer."""
        with self._news:
            self._ended = True
            self._news.notify_all()

    def latest(self) -> dict[WorldName, Latest]:
        """Give the latest of each world that has told something."""
        with self._news:
            return dict(self._latest)

    def after(self, seen: Mapping[WorldName, int], timeout_s: float) -> dict[WorldName, Latest]:
        """Wait for what is newer than what was seen; {} when nothing came, or it has ended."""

        def newer() -> dict[WorldName, Latest]:
            return {
                name: one for name, one in self._latest.items() if one.number > seen.get(name, 0)
            }

        with self._news:
            self._news.wait_for(lambda: self._ended or bool(newer()), timeout_s)
            return {} if self._ended else newer()

    def happened(self, seen: int) -> list[dict[str, Any]]:
        """Give the events after the one of that number, oldest first, as far as they are kept."""
        with self._news:
            return [one for one in self._events if one["number"] > seen]

    @property
    def ended(self) -> bool:
        """Tell whether nothing will come any more."""
        return self._ended

    def history(self) -> dict[str, Any]:
        """Give what came before: rates, states as letters, events, oldest first."""
        with self._news:
            return {
                "rates": {name: list(found) for name, found in self._rates.items()},
                "states": {
                    name: {replica: "".join(marks) for replica, marks in found.items()}
                    for name, found in self._marks.items()
                },
                "events": list(self._events),
            }

    def whole(self, timeout_s: float, samples: int = 1) -> dict[WorldName, Latest]:
        """Wait until each world has told so many samples, or told that it is not up."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.latest()
            done = [
                one for one in found.values() if one.number >= samples or not one.document["up"]
            ]
            if len(done) == len(self.worlds) or time.monotonic() > deadline:
                return found
            self.after({name: one.number for name, one in found.items()}, 0.2)


@contextmanager
def watching(givers: Mapping[WorldName, Give]) -> Iterator[Feed]:
    """Watch worlds while the block lasts. From the main thread. Raises: StepFailed without root.

    The children end with us, however we end.
    """
    child.inside("the watcher", None, require_namespaces)
    feed = Feed(tuple(givers))
    with ExitStack() as children:
        threads = []
        for name, give in givers.items():
            reading, writing = os.pipe()

            def tell(name: WorldName = name, give: Give = give, writing: int = writing) -> None:
                _tell(name, give, writing)

            started = child.staying(f"the watcher of {name}", None, _nothing, tell)
            children.enter_context(started)
            os.close(writing)
            threads.append(threading.Thread(target=_read, args=(feed, name, reading), daemon=True))
        children.callback(feed.end)
        for thread in threads:
            thread.start()
        yield feed


def _nothing() -> None:
    pass


def _tell(name: WorldName, give: Give, writing: int) -> None:
    """Watch for ever, in a child; what a bug says goes the way of the samples, and it goes on."""
    while True:
        try:
            watch(name, give, lambda found: _write(writing, found), stop=lambda: False)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            trouble = f"its watcher failed: {error!r} ({Path(where.filename).name}:{where.lineno})"
            _write(writing, WorldSample(name, time.time(), False, trouble=trouble))
        time.sleep(LOOK_AGAIN_S)


def _write(handle: int, found: WorldSample) -> None:
    line = json.dumps(plain(asdict(found)), separators=(",", ":"), default=str, allow_nan=False)
    view = memoryview(line.encode() + b"\n")
    while view:
        view = view[os.write(handle, view) :]


def _read(feed: Feed, name: WorldName, reading: int) -> None:
    with os.fdopen(reading, "rb") as pipe:
        for line in pipe:
            feed.take(name, line.rstrip())
    trouble = WorldSample(name, time.time(), False, trouble="its watcher ended; start again")
    if not feed.ended:
        feed.take(name, json.dumps(asdict(trouble)).encode())
