"""Ask each instance for its /health, so that an ill one is passed over before a client meets it.

Well ones are asked once a second, those that are out (or have no connection) twice. An instance
that answers requests meanwhile is slow, not silent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable

from services.api_gateway.client import Client, Upstream
from services.api_gateway.connection import Stale, TimedOut, UpstreamError
from services.api_gateway.eager import in_task
from services.api_gateway.rotation import Rotation
from services.api_gateway.standing import Rank

WATCH_S = 0.5
CHECK_S = 1.0
CHECK_TIMEOUT_S = 1.0


async def watch(rotations: Iterable[Rotation], client: Client, clock: Callable[[], float]) -> None:
    """Check the instances of all services; never returns."""
    while True:
        now = clock()
        due = [
            (rotation, upstream)
            for rotation in rotations
            for upstream in rotation.upstreams
            if is_due(upstream, now)
        ]
        for _, upstream in due:
            upstream.checked_at = now
        await asyncio.gather(*(check(rotation, upstream, client) for rotation, upstream in due))
        await asyncio.sleep(WATCH_S)


def is_due(upstream: Upstream, now: float) -> bool:
    """Tell whether to check an instance in this round."""
    if upstream.standing.rank is not Rank.WELL or not any(link.open for link in upstream.idle):
        return True
    return now - upstream.checked_at > CHECK_S - WATCH_S / 2


async def check(rotation: Rotation, upstream: Upstream, client: Client) -> None:
    """Ask one instance, and note how it stands."""
    answers = upstream.answers
    host = f"{upstream.host}:{upstream.port}".encode()
    data = b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    try:
        try:
            answer = await in_task(client.exchange(upstream, data, CHECK_TIMEOUT_S))
        except Stale:
            answer = await in_task(client.exchange(upstream, data, CHECK_TIMEOUT_S, fresh=True))
    except UpstreamError as error:
        if not isinstance(error, TimedOut) or upstream.answers == answers:
            rotation.out(upstream, Rank.UNREACHABLE, f"/health: {error}")
    else:
        if other := another_than(upstream.name, answer.body):
            rotation.out(upstream, Rank.UNREACHABLE, f"/health: {other} answers at its address")
        elif answer.status >= 500:
            rotation.out(upstream, Rank.ILL, f"/health: status {answer.status}")
        else:
            rotation.passed(upstream)


def another_than(name: str, body: bytes) -> str:
    """Name the replica that answers if it is another one: an address may have a new user."""
    try:
        replica = json.loads(body)["replica"]
    except (ValueError, KeyError, TypeError):
        return ""
    return "" if replica == name else str(replica)
