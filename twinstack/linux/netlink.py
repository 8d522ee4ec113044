"""Speak netlink: pack requests, send a batch in one system call, read what is answered.

A general library spends half a millisecond to encode one request; here it is a few struct
packings, and a step's requests travel together. What a request means, who asks knows: links and
routes, nf_tables, the log of denied packets. Source: netlink(7), rtnetlink(7), nfnetlink.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from types import TracebackType

#: The families that are spoken here.
ROUTE, SOCKETS, NETFILTER = socket.NETLINK_ROUTE, 4, 12

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type

#: The kind of an answer that accepts or refuses.
ERROR = 2
_DONE = 3
_REQUEST, _DUMP = 0x01, 0x300
#: Flag of a request whose success is to be answered too.
ACKNOWLEDGE = 0x04
#: Flags of a request that makes something: make it, and refuse if it is there.
CREATE, EXCLUSIVE, REPLACE = 0x400, 0x200, 0x100
_ERROR_HAS_ATTRIBUTES = 0x200
_MESSAGE_OF_ERROR = 1
_TYPE_MASK = 0x3FFF

_SOL_NETLINK = 270
_CAP_ACK, _EXT_ACK = 10, 11
#: More than the kernel puts into one datagram, of a dump too; 1 MB would be mapped anew each time.
_RECEIVE_BYTES = 1 << 16


#: What the kernel says: kind, flags, sequence, body.
Message = tuple[int, int, int, memoryview]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, packed but for its place in a batch: kind, flags, and the body."""

    kind: int
    flags: int
    body: bytes


class Refused(OSError):
    """The kernel refused a request; `errno` is its reason, `number` the request's place."""

    def __init__(self, code: int, said: str, number: int) -> None:
        super().__init__(code, f"{os.strerror(code)} ({said})" if said else os.strerror(code))
        self.number = number


def attribute(kind: int, value: bytes) -> bytes:
    """Pack one attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def number(kind: int, value: int) -> bytes:
    """Pack an attribute of 32 bits."""
    return attribute(kind, value.to_bytes(4, "little" if _LITTLE else "big"))


def byte(kind: int, value: int) -> bytes:
    """Pack an attribute of 8 bits."""
    return attribute(kind, bytes((value,)))


def text(kind: int, value: str) -> bytes:
    """Pack a string attribute, ended by a zero."""
    return attribute(kind, value.encode() + b"\0")


def address(kind: int, value: IPv4Address) -> bytes:
    """Pack an IPv4 address."""
    return attribute(kind, value.packed)


_LITTLE = struct.pack("=H", 1) == b"\1\0"


def attributes(data: memoryview) -> dict[int, memoryview]:
    """Take attributes apart, each by its kind; the last of a kind counts."""
    found: dict[int, memoryview] = {}
    end = len(data) & ~3
    words = data[:end].cast("H")  # length and kind, four bytes apart from their value
    offset = 0
    while offset < end:
        length = words[offset >> 1]
        if length < 4 or offset + length > len(data):
            break
        found[words[(offset >> 1) + 1] & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def as_number(data: memoryview | None) -> int | None:
    """Read an attribute of 32 bits."""
    return None if data is None else int(struct.unpack_from("=I", data)[0])


def as_text(data: memoryview | None) -> str | None:
    """Read a string attribute."""
    return None if data is None else bytes(data).rstrip(b"\0").decode(errors="replace")


class Netlink:
    """A socket of the network namespace that its thread was in when it was made."""

    def __init__(self, protocol: int = ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, requests: Sequence[Request]) -> None:
        """Have a batch done in its order, in one call; the kernel goes on past a refusal.

        Raises: Refused for the first that was refused; OSError.
        """
        if not requests:
            return
        first = self._sequence + 1
        self._sequence += len(requests)
        batch = b"".join(
            # Refusals are always answered; that all is done, the last one's answer tells.
            pack(
                one.kind,
                one.flags | (ACKNOWLEDGE if place == len(requests) - 1 else 0),
                first + place,
                one.body,
            )
            for place, one in enumerate(requests)
        )
        self._socket.send(batch)
        refused: Refused | None = None
        while True:
            for kind, flags, sequence, body in self._receive():
                if kind != ERROR or sequence < first:
                    continue
                found = refusal(body, flags, sequence - first)
                if found is not None and refused is None:
                    refused = found
                if sequence == self._sequence:
                    if refused is not None:
                        raise refused
                    return

    def dump(self, kind: int, body: bytes) -> Iterator[memoryview]:
        """List every object of a kind: the body of each answer. Raises: Refused, OSError."""
        yield from self._ask(Request(kind, _DUMP, body))

    def get(self, kind: int, body: bytes) -> memoryview:
        """Give one object. Raises: Refused (ENODEV, …), OSError."""
        return next(self._ask(Request(kind, 0, body)))

    def _ask(self, request: Request) -> Iterator[memoryview]:
        self._sequence += 1
        self._socket.send(pack(request.kind, request.flags, self._sequence, request.body))
        many = bool(request.flags & _DUMP)
        while True:
            for kind, flags, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                if kind == _DONE:
                    return
                if kind == ERROR:
                    refused = refusal(body, flags, 0)
                    if refused is not None:
                        raise refused
                    continue
                yield body
                if not many:
                    return

    def _receive(self) -> Iterator[Message]:
        return messages(memoryview(self._socket.recv(_RECEIVE_BYTES)))


def messages(data: memoryview) -> Iterator[Message]:
    """Take a datagram of the kernel's apart."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return
        yield kind, flags, sequence, data[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


def pack(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Pack a request with its header. Source: struct nlmsghdr."""
    return HEADER.pack(HEADER.size + len(body), kind, flags | _REQUEST, sequence, 0) + body


def refusal(body: memoryview, flags: int = 0, place: int = 0) -> Refused | None:
    """Read an acknowledgement: None when all is well. Source: struct nlmsgerr."""
    code = -int(struct.unpack_from("=i", body)[0])
    if code == 0:
        return None
    said = None
    if flags & _ERROR_HAS_ATTRIBUTES:  # with CAP_ACK they follow the refused header
        said = as_text(attributes(body[4 + HEADER.size :]).get(_MESSAGE_OF_ERROR))
    return Refused(code, (said or "").strip(" ."), place)
