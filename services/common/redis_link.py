"""One connection to Redis: a socket; hiredis writes commands and reads answers.

redis-py's Connection does the same with, for each command, checks that nothing here needs (health,
maintenance, re-authentication, packers): a quarter of the cost of a cached answer. The kernel
bounds the waits, which saves two calls of poll(2) a command. Source: socket(7), SO_RCVTIMEO.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from hiredis import ProtocolError, Reader, ReplyError, pack_command

from services.common.settings import Settings

READ_BYTES = 65_536
Argument = bytes | str | int
pack: Callable[..., bytes] = pack_command  # its types know of one argument alone


class RedisLink:
    """A connection, for one thread at a time. Answers are bytes, integers, lists, or None."""

    def __init__(self, settings: Settings, wait_s: float) -> None:
        """Connect, and log in if there is a password. Raises: OSError.

        `wait_s`: the longest wait for the connection, and for each answer.
        """
        self._wait_s = wait_s
        self._socket = socket.create_connection((settings.redis_host, settings.redis_port), wait_s)
        self._reader = Reader()
        self._buffer = bytearray(READ_BYTES)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket.settimeout(None)
            wait = struct.pack("@ll", 0, int(wait_s * 1e6))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, option, wait)
            if password := settings.secret("redis_password"):
                self._log_in(settings.redis_user, password)
        except BaseException:
            self.close()
            raise

    def ask(self, *arguments: Argument) -> Any:
        """Send a command, give its answer.

        Raises: ReplyError, after which the connection is as good as before; TimeoutError; another
        OSError when the connection is broken.
        """
        try:
            self._socket.sendall(pack(arguments))
            answer = self._reader.gets()
            while answer is False:  # hiredis' word for: not complete
                self._receive()
                answer = self._reader.gets()
        except BlockingIOError:
            raise TimeoutError(f"no answer within {self._wait_s:g} s") from None
        except ProtocolError as error:
            raise ConnectionError(f"no Redis: {error}") from None
        if isinstance(answer, ReplyError):
            raise answer
        return answer

    def is_stale(self) -> bool:
        """Tell whether an idle connection was closed: then there is something to read on it."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(0))

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> None:
        received = self._socket.recv_into(self._buffer)
        if not received:
            raise ConnectionError("closed by Redis")
        feed: Callable[..., None] = self._reader.feed  # its types leave out bytearray
        feed(self._buffer, 0, received)

    def _log_in(self, user: str, password: str) -> None:
        names: Sequence[str] = (user, password) if user else (password,)
        try:
            self.ask("AUTH", *names)
        except ReplyError as error:
            raise ConnectionError(f"login refused: {error}") from None
