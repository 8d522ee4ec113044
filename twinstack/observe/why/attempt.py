"""The one real connection, datagram or ping that is sent to find out.

Its socket belongs to the source's network namespace, whatever process uses it.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import time
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from twinstack.linux import child
from twinstack.observe.why.evidence import AttemptResult, Outcome
from twinstack.observe.why.question import Protocol, Speech

CONNECT_S, ANSWER_S = 0.7, 1.5
_POSTGRES_SSL_REQUEST = struct.pack("!II", 8, 80877103)
_ICMP_ECHO, _ICMP_ECHOREPLY = 8, 0
_KEPT_BYTES = 1 << 16
#: With it a request does not fit into one packet: a link with a smaller MTU shows.
_PADDING = "x" * 1800


class ProbeSocket:
    """A client's socket, made before anything is sent, so that its number is known."""

    def __init__(
        self, namespace: Path | None, protocol: Protocol, avoided: Collection[int] = ()
    ) -> None:
        """Bind it to a free number that is none of `avoided`: replies are told by it."""
        self._protocol = protocol
        with ExitStack() as rejected:  # held until one is chosen, so that none comes twice
            while True:
                self._socket = child.socket_in(namespace, self._created)
                self.number = self._number()
                if self.number not in avoided:
                    return
                rejected.callback(self._socket.close)

    def _created(self) -> socket.socket:
        if self._protocol == "ping":
            return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        kind = socket.SOCK_STREAM if self._protocol == "tcp" else socket.SOCK_DGRAM
        return socket.socket(socket.AF_INET, kind)

    def _number(self) -> int:
        if self._protocol == "ping":
            return 20_000 + int.from_bytes(os.urandom(2), "big") % 40_000
        self._socket.bind(("", 0))
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        self._socket.close()

    def send(self, address: str, port: int, speech: Speech, path: str) -> AttemptResult:
        """Ask, and wait for what happens. Raises: nothing: what fails is the answer."""
        began = time.monotonic()
        outcome: Outcome = "silent"
        error, said = "", b""
        try:
            if self._protocol == "ping":
                said = self._ping(address)
                outcome = "answered"
            else:
                self._socket.settimeout(CONNECT_S)
                self._socket.connect((address, port))
                outcome = "connected" if speech or self._protocol == "udp" else "open"
                said = self._converse(_words(speech, address, path))
                outcome = "answered" if said else outcome
        except TimeoutError:
            outcome = "silent" if self._protocol != "tcp" else outcome
        except OSError as failed:
            error = errno.errorcode.get(failed.errno or 0, str(failed.errno))
            refused = failed.errno == errno.ECONNREFUSED
            if outcome == "silent" or self._protocol != "tcp":
                outcome = "refused" if refused else "failed"
        status = re.match(rb"HTTP/1\.[01] (\d{3})", said)
        return AttemptResult(
            self.number,
            address,
            outcome,
            time.monotonic() - began,
            error,
            int(status[1]) if status else 0,
            said.partition(b"\r\n\r\n")[2 if status else 0].decode(errors="replace")[:400],
        )

    def _converse(self, words: bytes) -> bytes:
        """Say something and read what comes; b"" where there is nothing to say, or no answer."""
        if self._protocol == "udp":
            words = b"twinstack"
        if not words:
            return b""
        self._socket.settimeout(ANSWER_S)
        self._socket.sendall(words)
        answer = bytearray()
        deadline = time.monotonic() + ANSWER_S
        try:
            while len(answer) < _KEPT_BYTES and (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                piece = self._socket.recv(_KEPT_BYTES)
                answer += piece
                if not piece or not words.startswith(b"GET"):
                    break
        except TimeoutError:
            if not answer:
                raise
        return bytes(answer)

    def _ping(self, address: str) -> bytes:
        body = struct.pack("!BBHHH", _ICMP_ECHO, 0, 0, self.number, 1)
        total = sum(struct.unpack("!4H", body))
        total = (total & 0xFFFF) + (total >> 16)
        self._socket.sendto(body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:], (address, 0))
        deadline = time.monotonic() + CONNECT_S
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            data, sender = self._socket.recvfrom(256)
            start = (data[0] & 15) * 4
            kind, identity = data[start], int.from_bytes(data[start + 4 : start + 6], "big")
            if (kind, identity, sender[0]) == (_ICMP_ECHOREPLY, self.number, address):
                return b"echo reply"
        raise TimeoutError


def _words(speech: Speech, address: str, path: str) -> bytes:
    if speech == "http":
        lines = (f"GET {path} HTTP/1.1", f"Host: {address}", f"X-Padding: {_PADDING}")
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode()
    return {"redis": b"PING\r\n", "postgres": _POSTGRES_SSL_REQUEST, "": b""}[speech]
