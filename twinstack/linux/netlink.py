"""Netlink: pack requests, send a batch in one system call, read what the kernel answers.

A general library takes half a millisecond to encode one request; here it is a few struct
packings, and a step's requests travel together. What requests mean is known to `rtnetlink`,
`neigh`, `conntrack`, `sock_diag`, `nft_tables` and `nflog`.

In this package a kernel constant is an enum's member: NTF_SELF is `NTF.SELF`.
Source: netlink(7), netlink.h, nfnetlink.h.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address


class NETLINK(IntEnum):
    """Netlink families: NETLINK_*. Source: netlink.h."""

    ROUTE = 0
    SOCK_DIAG = 4
    NETFILTER = 12


class NLM(IntEnum):
    """Flags of a request: NLM_F_*. Source: netlink.h."""

    ACK = 0x04  # answer success too
    REPLACE = 0x100
    NONREC = 0x100  # of a delete: not what is inside
    EXCL = 0x200
    DUMP = 0x300
    CREATE = 0x400
    APPEND = 0x800


HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr: length, type
_U32 = struct.Struct("=I")
_NLA_TYPE_MASK = 0x3FFF

NLMSG_ERROR = 2  # accepts or refuses a request
_NLMSG_DONE = 3
_NLM_F_REQUEST, _NLM_F_ACK_TLVS = 0x01, 0x200
_NLMSGERR_ATTR_MSG = 1
_NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 10, 11
_SOL_NETLINK = 270
#: More than the kernel puts into one datagram, even of a dump. 1 MB would be mapped on each call.
_RECEIVE_BYTES = 1 << 16

#: A message of the kernel's: type, flags, sequence, body.
Message = tuple[int, int, int, memoryview]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, packed but for its place in a batch."""

    kind: int
    flags: int
    body: bytes


class Refused(OSError):
    """The kernel refused a request; `errno` is its reason, `number` the request's place."""

    def __init__(self, code: int, message: str, number: int) -> None:
        reason = os.strerror(code)
        super().__init__(code, f"{reason} ({message})" if message else reason)
        self.number = number


def attribute(kind: int, value: bytes) -> bytes:
    """Pack one attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def u32(kind: int, value: int) -> bytes:
    """Pack an attribute of 32 bits, in this machine's order."""
    return attribute(kind, value.to_bytes(4, sys.byteorder))


def u8(kind: int, value: int) -> bytes:
    """Pack an attribute of 8 bits."""
    return attribute(kind, bytes((value,)))


def text(kind: int, value: str) -> bytes:
    """Pack a string attribute, ended by a zero."""
    return attribute(kind, value.encode() + b"\0")


def address(kind: int, value: IPv4Address) -> bytes:
    """Pack an IPv4 address."""
    return attribute(kind, value.packed)


def attributes(data: memoryview) -> dict[int, memoryview]:
    """Take attributes apart, each by its type; the last of a type counts."""
    found: dict[int, memoryview] = {}
    end = len(data) & ~3
    words = data[:end].cast("H")  # length and type, four bytes apart from their value
    offset = 0
    while offset < end:
        length = words[offset >> 1]
        if length < 4 or offset + length > len(data):
            break
        found[words[(offset >> 1) + 1] & _NLA_TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def nested(parent: dict[int, memoryview], kind: int) -> dict[int, memoryview]:
    """Take the attributes inside an attribute apart; none where it is absent."""
    return attributes(parent[kind]) if kind in parent else {}


def as_u32(data: memoryview | None) -> int | None:
    """Read an attribute of 32 bits, in this machine's order."""
    return None if data is None else int(_U32.unpack_from(data)[0])


def as_big_endian(data: memoryview | None) -> int:
    """Read a number in network order; 0 where it is absent."""
    return 0 if data is None else int.from_bytes(data, "big")


def as_text(data: memoryview | None) -> str | None:
    """Read a string attribute."""
    return None if data is None else bytes(data).rstrip(b"\0").decode(errors="replace")


class Netlink:
    """A socket of the network namespace that its thread was in when it was made."""

    def __init__(self, family: int = NETLINK.ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def send(self, requests: Sequence[Request]) -> None:
        """Carry out a batch in its order, in one call; the kernel goes on past a refusal.

        Raises: Refused for the first that was refused; OSError.
        """
        if not requests:
            return
        first = self._sequence + 1
        self._sequence += len(requests)
        # Refusals are always answered; the answer to the last request says that all are done.
        flags = [request.flags for request in requests]
        flags[-1] |= NLM.ACK
        batch = b"".join(
            pack(request.kind, flags[place], first + place, request.body)
            for place, request in enumerate(requests)
        )
        self._socket.send(batch)
        first_refusal: Refused | None = None
        while True:
            for kind, answer_flags, sequence, body in self._receive():
                if kind != NLMSG_ERROR or sequence < first:
                    continue
                refused = refusal(body, answer_flags, sequence - first)
                first_refusal = first_refusal or refused
                if sequence == self._sequence:
                    if first_refusal is not None:
                        raise first_refusal
                    return

    def dump(self, kind: int, body: bytes) -> Iterator[memoryview]:
        """List every object of a kind: the body of each answer. Raises: Refused, OSError."""
        yield from self._ask(kind, NLM.DUMP, body)

    def get(self, kind: int, body: bytes) -> memoryview:
        """Give one object. Raises: Refused (ENODEV, …), OSError."""
        return next(self._ask(kind, 0, body))

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[memoryview]:
        self._sequence += 1
        self._socket.send(pack(kind, flags, self._sequence, body))
        while True:
            for kind, answer_flags, sequence, answer in self._receive():
                if sequence != self._sequence:
                    continue
                if kind == _NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    if (refused := refusal(answer, answer_flags)) is not None:
                        raise refused
                    continue
                yield answer
                if not flags:
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
    """Pack a request with its header."""
    return HEADER.pack(HEADER.size + len(body), kind, flags | _NLM_F_REQUEST, sequence, 0) + body


def refusal(body: memoryview, flags: int = 0, place: int = 0) -> Refused | None:
    """Read an acknowledgement, struct nlmsgerr: None when all is well."""
    code = -int.from_bytes(body[:4], sys.byteorder, signed=True)
    if code == 0:
        return None
    message = None
    if flags & _NLM_F_ACK_TLVS:  # with NETLINK_CAP_ACK they follow the refused header
        message = as_text(attributes(body[4 + HEADER.size :]).get(_NLMSGERR_ATTR_MSG))
    return Refused(code, (message or "").strip(" ."), place)
