"""Look again and again, and count the kernel's events meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from twinstack.errors import Missing
from twinstack.model.plan import HOST
from twinstack.observe.connections import collect
from twinstack.observe.connections.report import Connections
from twinstack.observe.connections.snapshot import look
from twinstack.world import World

#: At most this part of the time goes into looking: a full table takes seconds to read.
_LOOKING_PART = 0.2
_EVERY_S = 2.0


def once(world: World) -> Connections:
    """Look once, without events. Raises: Missing when the world is not up; CannotTell."""
    return look(world, _places(world))


def watch(world: World, seconds: float | None = None) -> Iterator[Connections]:
    """Look every other second until the time is over, None for without end.

    The last one's events are those of the whole time, each other's those since the one before.
    Raises: as `once`.
    """
    host = _places(world)[HOST]
    started = time.monotonic()
    with collect.listening(host) as told:
        pause = _EVERY_S
        while True:
            left = None if seconds is None else started + seconds - time.monotonic()
            last = left is not None and left <= pause
            told.wait(pause if left is None else min(pause, max(left, 0)))
            events = told.total() if last else told.recent()
            began = time.monotonic()
            yield look(world, _places(world), events)
            if last:
                return
            pause = max(_EVERY_S, (time.monotonic() - began) * (1 / _LOOKING_PART - 1))


def _places(world: World) -> dict[str, Path | None]:
    collect.require_root()
    found = world.namespaces()
    if set(found) <= {HOST}:
        raise Missing(
            f"{world.name} world",
            "cannot be looked at",
            "it is not up",
            f'run "invoke {world.name}.up"',
        )
    return found
