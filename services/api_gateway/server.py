"""The gateway's HTTP server: `uvicorn --http services.api_gateway.server:Protocol`.

uvicorn listens, starts, drains and stops. A request goes to the gateway as it is, by no ASGI and in
no task: those were two fifths of the gateway's own Python. What is no request is refused in JSON,
after the answers that are still owed. Every wait for a client is bounded in time, by a sweep and
not by timers. A connection that is closed while its client still sends is read on for a moment: a
reset would destroy the answer.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Any, cast
from weakref import WeakSet

from uvicorn.config import Config
from uvicorn.server import ServerState

from services.api_gateway import eager
from services.api_gateway.gateway import Gateway
from services.api_gateway.messages import Headers
from services.api_gateway.parsing import RequestParser
from services.api_gateway.refusal import HEAD_S, LATE, NoRequest
from services.api_gateway.request import ClientRequest

LINGER_S = 3.0  # for the rest of what was refused
STALL_S = 10.0  # for a client to read 48 KiB of what waits for it
SWEEP_S = 0.5

_swept = WeakSet[ServerState]()


class Protocol(asyncio.Protocol):
    """One client's connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.stalled: asyncio.Future[None] | None = None
        self._config = config
        self._state = server_state
        self._gateway = cast(Gateway, config.loaded_app)
        self._requests = deque[ClientRequest]()  # without an answer; one at a time is begun
        self._surplus = False  # more came while an answer was due
        self._no_request: NoRequest | None = None  # why nothing more is taken
        self._closing = False
        self._reading = True
        self._stalled_until = math.inf
        self._deadline = self.loop.time() + HEAD_S  # while no answer is due
        self._parser: RequestParser
        self._transport: asyncio.Transport

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._parser = RequestParser(self, str(peer[0]) if peer else "unknown", self._take)
        self._state.connections.add(cast(Any, self))
        if self._state not in _swept:
            _swept.add(self._state)
            self.loop.call_later(SWEEP_S, _sweep, self._state, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(cast(Any, self))
        self._closing = True
        for request in self._requests:
            request.leave()
        self.resume_writing()
        self._parser.close()

    def data_received(self, data: bytes) -> None:
        if self._no_request or self._closing:
            return  # read, and thrown away
        parser = self._parser
        in_head, whole = parser.in_head, parser.whole
        self._surplus = whole and bool(self._requests)
        if no_request := parser.feed(data):
            self._refuse(no_request)
        elif parser.in_head and not in_head:
            self._deadline = self.loop.time() + HEAD_S
        elif parser.whole and not whole and not self._requests:  # the rest of what was refused
            self._deadline = self.loop.time() + self._config.timeout_keep_alive
        self._begin_next()

    def eof_received(self) -> bool:
        """Answer a client that has sent all it will; close otherwise."""
        if not (self._parser.whole and self._requests):
            return False
        self._requests[-1].keep_alive = False
        return True

    def pause_writing(self) -> None:
        self._stalled_until = self.loop.time() + STALL_S
        self.stalled = self.loop.create_future()

    def resume_writing(self) -> None:
        self._stalled_until = math.inf
        stalled, self.stalled = self.stalled, None
        if stalled is not None:
            stalled.set_result(None)

    # What a request calls.

    def headers_of_all(self) -> Headers:
        """Give the headers that each answer has."""
        return self._state.default_headers

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def answered(self, request: ClientRequest) -> None:
        """Go on after an answer: close, begin the next request, or wait for one."""
        self._requests.popleft()
        self._state.total_requests += 1
        if not request.keep_alive:
            self._close()
        if self._is_closing():
            return
        self.resume_reading()
        if self._requests:
            self.loop.call_soon(self._begin_next)  # other clients' requests come first
        elif self._no_request:
            self._write_refusal(self._no_request)
        else:
            wait_s = self._config.timeout_keep_alive if self._parser.whole else LINGER_S
            self._deadline = self.loop.time() + (HEAD_S if self._parser.in_head else wait_s)

    # What the server and the sweep call.

    def shutdown(self) -> None:
        """Close after the answers that are owed."""
        if self._requests:
            self._requests[-1].keep_alive = False
        else:
            self._close()

    def end_if_late(self, now: float) -> None:
        """Close a connection that keeps us waiting too long."""
        if now > self._stalled_until or (self._closing and now > self._deadline):
            self._transport.abort()
        elif now > self._deadline and not self._requests:
            if self._parser.in_head:
                self._refuse(LATE)
            else:
                self._close()

    def _take(self, request: ClientRequest) -> None:
        self._requests.append(request)
        if len(self._requests) > 1:
            self.pause_reading()

    def _begin_next(self) -> None:
        if self._requests and not self._requests[0].begun and not self._is_closing():
            self._requests[0].begun = True
            eager.run(self._gateway.respond(self._requests[0]), self._transport.abort)

    def _is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def _refuse(self, no_request: NoRequest) -> None:
        """Answer what is no request, after the answers that are owed; whatever follows is lost."""
        self._no_request = no_request
        if not (self._parser.whole or self._parser.in_head):  # the last request's body is broken
            if not self._requests:  # and it has its answer
                self._close()
                return
            self._requests.pop().leave()  # it gets this answer and no other
        if not self._requests:
            self._write_refusal(no_request)

    def _write_refusal(self, no_request: NoRequest) -> None:
        self.write(no_request.answer())
        self._close()

    def _close(self) -> None:
        """Close; for writing only, until the sweep ends it, if the client may still be sending."""
        if self._is_closing():
            return
        self._closing = True
        if self._no_request or self._surplus or not self._parser.whole:
            self._deadline = self.loop.time() + LINGER_S
            self.resume_reading()
            self._transport.write_eof()
        else:
            self._deadline = self.loop.time() + STALL_S
            self._transport.close()


def _sweep(state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
    """End what takes too long, as long as there are connections."""
    now = loop.time()
    for connection in list(state.connections):
        cast(Protocol, connection).end_if_late(now)
    if state.connections:
        loop.call_later(SWEEP_S, _sweep, state, loop)
    else:
        _swept.discard(state)
