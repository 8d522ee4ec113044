"""Looks at replicas for any number of clients: of each world one at a time, each kept for a second.

A look runs in a thread of its own, and its clients wait for it a bounded time: an engine that hangs
keeps one thread for each replica, and no client. Which replicas there are is known from the latest
sample, so a wrong name costs nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twinstack.errors import CannotTell, Missing, TwinstackError
from twinstack.model.topology import WorldName
from twinstack.observe.detail.lines import shortened
from twinstack.observe.detail.read import ReplicaDetail, read
from twinstack.observe.live.feed import Feed
from twinstack.observe.live.samples import key_of
from twinstack.observe.live.watcher import FindWorld
from twinstack.printable import dumps
from twinstack.world import LocalWorld

#: How long a look is kept, how long a client waits for one, and how long a found world is used:
#: it may have been brought up again with other options.
KEPT_S, WAIT_S, WORLD_S = 1.0, 2.5, 10.0

Read = Callable[[LocalWorld, str, int | None], ReplicaDetail]


@dataclass(slots=True)
class _Look:
    """One look; `ended_s` and what follows are set before `done`."""

    done: threading.Event = field(default_factory=threading.Event)
    ended_s: float = 0.0
    document: bytes = b""
    error: TwinstackError | None = None

    @property
    def old(self) -> bool:
        return self.done.is_set() and time.monotonic() - self.ended_s > KEPT_S


@dataclass(slots=True)
class _Found:
    """A world, and when it was found; held by one look at a time."""

    find: FindWorld
    lock: threading.Lock = field(default_factory=threading.Lock)
    world: LocalWorld | None = None
    at_s: float = 0.0


class Looks:
    """Looks at the replicas of some worlds. Thread-safe."""

    def __init__(
        self, feed: Feed, find: Mapping[WorldName, FindWorld], reader: Read = read
    ) -> None:
        self._feed = feed
        self._found = {name: _Found(each) for name, each in find.items()}
        self._read = reader
        self._lock = threading.Lock()
        self._looks: dict[tuple[str, str], _Look] = {}

    def document(self, world: str, name: str) -> bytes:
        """Give what is known of a replica, at most KEPT_S old, as JSON.

        Raises: Missing when there is no such world or replica; CannotTell when it is not known in
        time.
        """
        found, sample = self._world(world)
        replicas = {each["name"]: each for each in sample["replicas"]}
        if name not in replicas:
            known = shortened(", ".join(replicas), 300)
            shown = shortened(name, 60) or "a replica without a name"
            raise Missing(shown, f"is not in the {world} world", f"there are {known}")
        with self._lock:
            look = self._looks.get((world, name))
            if look is None or look.old:
                look = self._looks[world, name] = _Look()
                words = (look, found, sample["key"], name, replicas[name]["pid"])
                threading.Thread(target=self._work, args=words, daemon=True).start()
        if not look.done.wait(WAIT_S):
            cause = f"the {world} world has not answered within {WAIT_S:g} s"
            raise CannotTell(name, "cannot be looked at now", cause)
        if look.error:
            raise look.error
        return look.document

    def _world(self, world: str) -> tuple[_Found, Mapping[str, Any]]:
        """Give a world and its latest sample. Raises: Missing, CannotTell."""
        name = next((each for each in self._found if each == world), None)
        if name is None:
            shown = shortened(world, 60) or "a world without a name"
            raise Missing(shown, "is no world of this page", f"there are {', '.join(self._found)}")
        latest = self._feed.latest().get(name)
        if latest is None:
            raise CannotTell(f"{name} world", "is unknown", "nothing has come of it yet")
        if not latest.document["up"]:
            trouble = latest.document["trouble"]
            raise Missing(f"{name} world", "is not up", trouble, f'run "invoke {name}.up"')
        return self._found[name], latest.document

    def _work(self, look: _Look, found: _Found, key: str, name: str, pid: int | None) -> None:
        try:
            with found.lock:
                detail = self._detail(found, key, name, pid)
            health = self._feed.health(detail.world, name)
            look.document = dumps({"detail": detail, "health": health}, indent=None).encode()
        except TwinstackError as error:
            look.error = error
        except Exception as error:  # a bug, which must keep no client waiting
            look.error = CannotTell(name, "cannot be looked at", repr(error))
        look.ended_s = time.monotonic()
        look.done.set()

    def _detail(self, found: _Found, key: str, name: str, pid: int | None) -> ReplicaDetail:
        now_s = time.monotonic()
        world = found.world
        if world is None or now_s - found.at_s > WORLD_S or key_of(world.plan) != key:
            world, found.at_s = found.find(), now_s
            found.world = world
        if world is None:
            raise Missing(name, "is not there", "its world is no longer up")
        return self._read(world, name, pid)
