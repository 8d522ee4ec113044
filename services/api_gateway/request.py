"""One request at the gateway's own port, and the answer to it.

An answer's head and body leave in one system call, which saves a fifth of a request's cost.
"""

from __future__ import annotations

import asyncio
from typing import Protocol as Interface
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from services.api_gateway.messages import CLOSE, Headers

BODY_WAITING_MAX_BYTES = 65_536


class ClientLink(Interface):
    """A client's connection, as far as a request needs it."""

    stalled: asyncio.Future[None] | None  # while the client reads too little

    def headers_of_all(self) -> Headers: ...
    def write(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def answered(self, request: ClientRequest) -> None: ...


class ClientRequest:
    """A request whose head is complete; its body may still be coming."""

    __slots__ = (
        "_body",
        "_came",
        "_link",
        "begun",
        "done",
        "expects",
        "headers",
        "http_version",
        "keep_alive",
        "method",
        "more_body",
        "path",
        "peer",
        "query",
    )

    def __init__(
        self,
        link: ClientLink,
        peer: str,
        method: str,
        path: bytes,
        query: bytes,
        http_version: str,
        headers: Headers,
    ) -> None:
        self.peer = peer  # the address at the other end of the connection
        self.method = method
        self.path = path  # percent-encoded, in ASCII
        self.query = query
        self.http_version = http_version
        self.headers = headers  # names in lower case
        self.keep_alive = True
        self.expects = False  # to be asked for its body
        self.more_body = True
        self.begun = False
        self.done = False  # it has its answer, or nobody is there to take one
        self._link = link
        self._body = bytearray()
        self._came: asyncio.Future[None] | None = None

    @property
    def shown_path(self) -> str:
        """Give the path for logs and messages."""
        path = self.path.decode("ascii")
        return unquote(path) if "%" in path else path

    async def read(self) -> tuple[bytes, bool] | None:
        """Give what came of the body, and whether there is more; None when the client has left."""
        if self.expects and not self.done:
            self._link.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.expects = False
        if self.more_body and not self._body and not self.done:
            self._link.resume_reading()
            self._came = asyncio.get_running_loop().create_future()
            await self._came
        if self.done:
            return None
        body, self._body = bytes(self._body), bytearray()
        return body, self.more_body

    def add_body(self, part: bytes) -> None:
        """Take a part of the body; it is thrown away once the request is done."""
        if self.done:
            return
        self._body += part
        if len(self._body) > BODY_WAITING_MAX_BYTES:
            self._link.pause_reading()
        self._wake()

    def end_body(self) -> None:
        self.more_body = False
        self._wake()

    def leave(self) -> None:
        """Note that nobody will take an answer."""
        self.done = True
        self._wake()

    @property
    def is_stalled(self) -> bool:
        """Whether the client has yet to read what waits for it."""
        return self._link.stalled is not None and not self.done

    async def until_read(self) -> None:
        """Wait for a stalled client."""
        while self._link.stalled is not None and not self.done:
            await self._link.stalled

    def answer(self, status: int, lines: list[bytes], body: bytes) -> None:
        """Answer, with these header lines; HEAD gets no body."""
        if self.done:
            return
        self.done = True
        closing = b""
        if CLOSE in lines:
            self.keep_alive = False
        elif not self.keep_alive:
            closing = CLOSE
        if self.method == "HEAD":
            body = b""
        of_all = [b"%s: %s\r\n" % header for header in self._link.headers_of_all()]
        self._link.write(b"".join((STATUS_LINE[status], *of_all, *lines, closing, b"\r\n", body)))
        self._link.answered(self)

    def _wake(self) -> None:
        came, self._came = self._came, None
        if came is not None and not came.done():
            came.set_result(None)
