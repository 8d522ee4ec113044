"""Hold packets that a rule hands to nfnetlink_queue for a while, then let them go on.

netem is not in every kernel; NFQUEUE with this reader delays as well, at some 10 µs of CPU for each
packet. What is let go is marked and meets the same chain again (NF_REPEAT), so the rules after
ours still judge it. Without a reader the kernel drops what a rule hands over: nothing passes
unjudged. Source: nfnetlink_queue.h, netfilter.h.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum

from twinstack.linux.netlink import (
    NETLINK,
    NLM,
    NLMSG_ERROR,
    attribute,
    attributes,
    messages,
    pack,
    refusal,
)

_SUBSYSTEM = 3 << 8  # NFNL_SUBSYS_QUEUE
_NFGENMSG_BYTES = 4
#: Carried by a packet that was held already.
MARK = 0x7E57


class NFQNL(IntEnum):
    """Kinds of messages, with their subsystem: NFQNL_MSG_*. Source: nfnetlink_queue.h."""

    PACKET = _SUBSYSTEM
    CONFIG = _SUBSYSTEM | 2
    VERDICT_BATCH = _SUBSYSTEM | 3


class NFQA(IntEnum):
    """Attributes of a packet and of a verdict: NFQA_*. Source: nfnetlink_queue.h."""

    PACKET_HDR = 1
    VERDICT_HDR = 2
    MARK = 3


class NFQA_CFG(IntEnum):  # noqa: N801  # the kernel's own word
    """Attributes of a configuration: NFQA_CFG_*. Source: nfnetlink_queue.h."""

    CMD = 1
    PARAMS = 2
    QUEUE_MAXLEN = 3


_NFQNL_CFG_CMD_BIND, _NFQNL_COPY_META, _NF_REPEAT = 1, 1, 4
_MOST_HELD = 20_000
_BUFFER_BYTES, _DATAGRAM_BYTES = 1 << 22, 1 << 17


class DelayQueue:
    """One queue of the namespace that its thread was in when it was made."""

    def __init__(self, number: int, delay_s: float) -> None:
        """Bind the queue. Units: seconds. Raises: Refused (EBUSY when it has a reader), OSError."""
        self._number, self._delay_s = number, delay_s
        self._held: deque[tuple[float, int]] = deque()  # when it is due, the packet's id
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK.NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._socket.bind((0, 0))
        self._socket.settimeout(5)
        self._configure(NFQA_CFG.CMD, struct.pack("!BxH", _NFQNL_CFG_CMD_BIND, 0))
        self._configure(NFQA_CFG.PARAMS, struct.pack("!IB", 0, _NFQNL_COPY_META))
        self._configure(NFQA_CFG.QUEUE_MAXLEN, struct.pack("!I", _MOST_HELD))
        self._socket.setblocking(False)

    def serve(self) -> None:
        """Hold packets and let them go, for ever. Raises: OSError."""
        while True:
            wait_s = max(0.0, self._held[0][0] - time.monotonic()) if self._held else None
            if select.select((self._socket,), (), (), wait_s)[0]:
                due = time.monotonic() + self._delay_s
                with suppress(OSError):  # too many at once: the kernel dropped some
                    data = self._socket.recv(_DATAGRAM_BYTES)
                    self._held += ((due, number) for number in packet_ids(data))
            self._let_go()

    def close(self) -> None:
        """Unbind the queue: the kernel drops what is held."""
        self._socket.close()

    def _let_go(self) -> None:
        """Give a verdict on everything that is due: the packets up to an id, in one message."""
        latest, now = None, time.monotonic()
        while self._held and self._held[0][0] <= now:
            _, latest = self._held.popleft()
        if latest is not None:
            verdict = attribute(NFQA.VERDICT_HDR, struct.pack("!II", _NF_REPEAT, latest))
            body = verdict + attribute(NFQA.MARK, struct.pack("!I", MARK))
            self._socket.send(pack(NFQNL.VERDICT_BATCH, 0, 0, self._head() + body))

    def _configure(self, kind: NFQA_CFG, value: bytes) -> None:
        self._socket.send(pack(NFQNL.CONFIG, NLM.ACK, 1, self._head() + attribute(kind, value)))
        for answer, _, _, body in messages(memoryview(self._socket.recv(_DATAGRAM_BYTES))):
            refused = refusal(body) if answer == NLMSG_ERROR else None
            if refused is not None:
                raise refused

    def _head(self) -> bytes:
        return struct.pack("!BBH", socket.AF_UNSPEC, 0, self._number)  # struct nfgenmsg


def packet_ids(data: bytes) -> Iterator[int]:
    """Read the ids of the packets in one datagram of the kernel's; pure."""
    for kind, _, _, body in messages(memoryview(data)):
        header = attributes(body[_NFGENMSG_BYTES:]).get(NFQA.PACKET_HDR)
        if kind == NFQNL.PACKET and header is not None:
            yield int.from_bytes(header[:4], "big")
