"""A small HTTP/1.1 client: upstreams, the connections to them that are kept, and time limits.

Requests have no timers: a sweep ends those that take too long, a few times a second. What is sent
here is run without tasks (`eager`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from services.api_gateway.connection import Answer, ConnectFailed, Connection, Slow, TimedOut
from services.api_gateway.standing import Standing

CONNECT_TIMEOUT_S = 1.0
IDLE_S = 10.0
IDLE_KEPT = 256
SWEEP_S = 0.2


@dataclass(slots=True, eq=False)
class Upstream:
    """An instance of a service: its address, its kept connections, and its statistics."""

    name: str
    host: str
    port: int
    idle: list[Connection] = field(default_factory=list)
    standing: Standing = field(default_factory=Standing)
    checked_at: float = 0.0
    answers: int = 0
    failures: int = 0
    errors: int = 0  # of the answers: with a status of 500 or more
    busy_s: float = 0.0

    @property
    def key(self) -> tuple[str, str, int]:
        return self.name, self.host, self.port

    def take(self) -> Connection | None:
        """Take the connection that was used last: the likeliest to be alive."""
        while self.idle:
            connection = self.idle.pop()
            if connection.usable:
                return connection
        return None

    def close(self) -> None:
        """Close the idle connections; a busy one closes after its request."""
        for connection in self.idle:
            connection.close()
        self.idle.clear()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one try of a request waits, in seconds, and whether it may end so soon."""

    try_s: float
    may_give_up: Callable[[Upstream], bool]


class Client:
    """Send requests to upstreams, each on a connection of its own while it lasts."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._busy: dict[Connection, tuple[Upstream, Patience | None]] = {}
        self._kept: set[Upstream] = set()

    async def exchange(
        self,
        upstream: Upstream,
        data: bytes,
        timeout_s: float,
        *,
        head_only: bool = False,
        fresh: bool = False,
        patience: Patience | None = None,
    ) -> Answer:
        """Send `data`, give the answer. `fresh` asks for a new connection.

        Raises: ConnectFailed, Stale (not if fresh), Broken, TimedOut, Slow (by its `patience`).
        """
        connection = None if fresh else upstream.take()
        if connection is None:
            connection = await self._loop.create_task(self._connect(upstream))
            if not connection.usable:
                raise ConnectFailed("the connection was closed at once")
        now = self._loop.time()
        connection.deadline = now + timeout_s
        connection.slow_at = now + patience.try_s if patience else connection.deadline
        self._busy[connection] = upstream, patience
        try:
            answer = await connection.request(data, head_only)
        finally:
            self._busy.pop(connection, None)
        self._keep(upstream, connection)
        return answer

    async def sweep(self) -> None:
        """End requests that take too long and close idle connections; never returns."""
        while True:
            slept_at = self._loop.time()
            await asyncio.sleep(SWEEP_S)
            if self._loop.time() - slept_at > 2 * SWEEP_S:  # We were held up, not they.
                await asyncio.sleep(SWEEP_S / 10)  # Read what came meanwhile.
            now = self._loop.time()
            for connection in [busy for busy in self._busy if busy.slow_at < now]:
                upstream, patience = self._busy[connection]
                if connection.deadline < now:
                    connection.fail(TimedOut("no answer in time"))
                elif patience and patience.may_give_up(upstream):
                    connection.fail(Slow(f"no answer within {patience.try_s:g} s"))
            for upstream in self._kept:
                for connection in [i for i in upstream.idle if i.idle_since < now - IDLE_S]:
                    upstream.idle.remove(connection)
                    connection.close()

    def forget(self, upstream: Upstream) -> None:
        self._kept.discard(upstream)
        upstream.close()

    def _keep(self, upstream: Upstream, connection: Connection) -> None:
        if not connection.open:
            return
        if len(upstream.idle) < IDLE_KEPT and upstream in self._kept:
            connection.idle_since = self._loop.time()
            upstream.idle.append(connection)
        else:
            connection.close()

    async def _connect(self, upstream: Upstream) -> Connection:
        self._kept.add(upstream)
        host, port = upstream.host, upstream.port
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await self._loop.create_connection(Connection, host, port)
        except TimeoutError:
            raise ConnectFailed(f"no connection within {CONNECT_TIMEOUT_S:g} s") from None
        except OSError as error:
            raise ConnectFailed(error.strerror or str(error)) from None
        return connection
