"""HTTP in captured packets: segments that begin a request or a response, and response times.

A message is recognised by the first bytes of a segment; one that begins in the middle of a segment
is not seen. Requests are named by method and path, without the query and with {n} for numbers, so
that the list of names stays short. Source: RFC 9112.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twinstack.observe.traffic.columns import Bytes, Flags, Ints, gather
from twinstack.observe.traffic.histogram import bucket_of
from twinstack.observe.traffic.protocols import U32

# A message's number: a status, a request's number from FIRST_REQUEST on, or one of these.
NOTHING, CUT_OFF = 0, -1
FIRST_REQUEST = 1000
#: Status of a request without a response.
UNANSWERED = 0

_METHODS = {b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"PATCH", b"OPTIONS"}
_RESPONSE = int.from_bytes(b"HTTP")
_FIRST_WORDS = [_RESPONSE, *(int.from_bytes((method + b" ")[:4]) for method in _METHODS)]
#: What it takes to read a response's status: "HTTP/1.1 200".
_LEAST_BYTES = 12
_MAX_LINE_BYTES = 256
_MAX_NAMES = 500
_MAX_LINES = 20_000
_MAX_NAME_LENGTH = 60
_MAX_CONNECTIONS = 20_000
_MAX_PIPELINED = 64


class HttpMessages:
    """Numbers the messages that begin in payloads; `requests` are the names of requests."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._number_of: dict[str, int] = {}
        self._number_of_line: dict[bytes, int] = {}

    def begin(self, data: Bytes, at: Ints, end: Ints, payload: Ints) -> NDArray[np.int32]:
        """Give the number of the message that begins at each position.

        `end`: of what was captured; `payload`: bytes on the wire.
        """
        captured = np.maximum(end - at, 0)
        messages = np.zeros(len(at), np.int32)
        messages[(captured < payload) & (captured < _LEAST_BYTES)] = CUT_OFF
        rows = np.flatnonzero(captured >= _LEAST_BYTES)
        words = gather(data, at[rows], U32)["value"].astype(np.int64)
        chosen = np.isin(words, _FIRST_WORDS)
        rows, words = rows[chosen], words[chosen]
        raw, lines = data.data, self._number_of_line
        numbers = []
        ends = np.minimum(end[rows], at[rows] + _MAX_LINE_BYTES)
        for start, stop, word in zip(at[rows].tolist(), ends.tolist(), words.tolist(), strict=True):
            if word == _RESPONSE:
                numbers.append(_status(bytes(raw[start : start + _LEAST_BYTES])))
                continue
            line = bytes(raw[start:stop]).partition(b"\r\n")[0]
            number = lines.get(line)
            numbers.append(self._request(line) if number is None else number)
        messages[rows] = numbers
        return messages

    def name(self, number: int) -> str:
        """Give a request's name."""
        return self.requests[number - FIRST_REQUEST]

    def _request(self, line: bytes) -> int:
        method, _, rest = line.partition(b" ")
        target, _, version = rest.partition(b" ")
        if method not in _METHODS or not target:
            return NOTHING
        whole = version.startswith(b"HTTP/1.")
        if not whole and (version or len(line) < 16):
            return NOTHING
        name = f"{method.decode()} {_path(target, whole)}"
        if name not in self._number_of and len(self.requests) >= _MAX_NAMES:
            name = f"{method.decode()} (other paths)"
        number = self._number_of.get(name)
        if number is None:
            number = self._number_of[name] = FIRST_REQUEST + len(self.requests)
            self.requests.append(name)
        if len(self._number_of_line) < _MAX_LINES:
            self._number_of_line[line] = number
        return number


def _path(target: bytes, whole: bool) -> str:
    text = target.partition(b"?")[0].decode("latin-1")
    text = re.sub(r"[^\x21-\x7e]", "?", text)
    text = re.sub(r"(?<=/)[0-9]+(?=/|$)", "{n}", text)
    text = re.sub(r"(?<=/)[0-9a-fA-F-]{16,}(?=/|$)", "{id}", text)
    if len(text) > _MAX_NAME_LENGTH or not whole:
        text = text[:_MAX_NAME_LENGTH] + "…"
    return text


def _status(head: bytes) -> int:
    if head[:7] != b"HTTP/1." or head[8:9] != b" " or not head[9:12].isdigit():
        return NOTHING
    status = int(head[9:12])
    return status if 100 <= status <= 599 else NOTHING


@dataclass(slots=True)
class HttpExchanges:
    """Matches responses with requests, in the order of each connection."""

    messages: HttpMessages = field(default_factory=HttpMessages)

    #: (pair, request, status) → histogram of the time to the response's first byte
    latencies: dict[tuple[int, int, int], Counter[int]] = field(default_factory=dict)
    #: flow → pair, request and time of each request that waits
    _waiting: OrderedDict[int, deque[tuple[int, int, int]]] = field(default_factory=OrderedDict)

    def add(self, flows: Ints, pairs: Ints, messages: Ints, ended: Flags, times_ns: Ints) -> None:
        """Match messages, sorted by time. `ended`: requests that wait there get no response."""
        waiting = self._waiting
        columns = (column.tolist() for column in (flows, pairs, messages, ended, times_ns))
        for flow, pair, message, end, time_ns in zip(*columns, strict=True):
            if end and flow in waiting:
                self._give_up(waiting.pop(flow))
            if message >= FIRST_REQUEST:
                queue = waiting.get(flow)
                if queue is None:
                    queue = waiting[flow] = deque()
                    if len(waiting) > _MAX_CONNECTIONS:
                        self._give_up(waiting.popitem(last=False)[1])
                queue.append((pair, message, time_ns))
                if len(queue) > _MAX_PIPELINED:
                    self._give_up(deque([queue.popleft()]))
            elif message >= 200 and (queue := waiting.get(flow)):
                request_pair, request, request_ns = queue.popleft()
                self._count(request_pair, request, message, bucket_of(time_ns - request_ns))
                if not queue:
                    del waiting[flow]

    def finish(self) -> None:
        """Count the requests without a response."""
        for queue in self._waiting.values():
            self._give_up(queue)
        self._waiting.clear()

    def _give_up(self, queue: deque[tuple[int, int, int]]) -> None:
        for pair, request, _ in queue:
            self._count(pair, request, UNANSWERED, 0)

    def _count(self, pair: int, request: int, status: int, bucket: int) -> None:
        self.latencies.setdefault((pair, request, status), Counter())[bucket] += 1
