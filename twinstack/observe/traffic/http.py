"""HTTP in captured packets: which begin a request or an answer, and how long the answer took.

A message is known by the first bytes of a segment; one that begins in the middle of a segment is
not seen. Requests are named by method and path, without a query, numbers put as {n}: a bounded
list of names. Source: RFC 9112.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twinstack.observe.traffic import protocols as h
from twinstack.observe.traffic.histogram import bucket_of
from twinstack.observe.traffic.packets import Flags
from twinstack.observe.traffic.reader import Bytes, Ints, gather

NOTHING, CUT_OFF = 0, -1
#: A message's number: an answer's is its status, a request's begins here.
FIRST_REQUEST = 1000
#: Status of a request that nobody answered while we looked.
UNANSWERED = 0

_STARTS = {
    int.from_bytes(word)
    for word in (b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"PATC", b"OPTI", b"HTTP")
}
_ANSWER = int.from_bytes(b"HTTP")
_METHODS = {b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"PATCH", b"OPTIONS"}
#: What must be there to tell an answer's status: "HTTP/1.1 200".
_LEAST_BYTES = 12
_LINE_BYTES = 256
_NAMES = 500
_LINES = 20_000
_NAME_LENGTH = 60
_OPEN_CONNECTIONS = 20_000
_PIPELINED = 64


class HttpMessages:
    """Names what begins in a payload by a number; the names are `requests`."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._number_of: dict[str, int] = {}
        self._number_of_line: dict[bytes, int] = {}

    def begin(self, data: Bytes, at: Ints, end: Ints, payload: Ints) -> NDArray[np.int32]:
        """Tell which message begins at each place: NOTHING, CUT_OFF or a message's number."""
        captured = np.maximum(end - at, 0)
        found = np.zeros(len(at), np.int32)
        cut = (captured < payload) & (captured < _LEAST_BYTES)
        found[cut] = CUT_OFF
        rows = np.flatnonzero(captured >= _LEAST_BYTES)
        words = gather(data, at[rows], h.WORD)["value"].astype(np.int64)
        chosen = np.isin(words, list(_STARTS))
        rows, words = rows[chosen], words[chosen]
        raw, lines = data.data, self._number_of_line
        numbers = []
        ends = np.minimum(end[rows], at[rows] + _LINE_BYTES)
        for start, stop, word in zip(at[rows].tolist(), ends.tolist(), words.tolist(), strict=True):
            if word == _ANSWER:
                numbers.append(_status(bytes(raw[start : start + _LEAST_BYTES])))
                continue
            line = bytes(raw[start:stop]).partition(b"\r\n")[0]
            number = lines.get(line)
            numbers.append(self._request(line) if number is None else number)
        found[rows] = numbers
        return found

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
        number = self._number_of.get(name)
        if number is None:
            if len(self.requests) >= _NAMES:
                name = f"{method.decode()} (other paths)"
            number = self._number_of.get(name, FIRST_REQUEST + len(self.requests))
            if name not in self._number_of:
                self._number_of[name] = number
                self.requests.append(name)
        if len(self._number_of_line) < _LINES:
            self._number_of_line[line] = number
        return number


def _path(target: bytes, whole: bool) -> str:
    text = target.partition(b"?")[0].decode("latin-1")
    text = re.sub(r"[^\x21-\x7e]", "?", text)
    text = re.sub(r"(?<=/)[0-9]+(?=/|$)", "{n}", text)
    text = re.sub(r"(?<=/)[0-9a-fA-F-]{16,}(?=/|$)", "{id}", text)
    if len(text) > _NAME_LENGTH or not whole:
        text = text[:_NAME_LENGTH] + "…"
    return text


def _status(head: bytes) -> int:
    if head[:7] != b"HTTP/1." or head[8:9] != b" " or not head[9:12].isdigit():
        return NOTHING
    status = int(head[9:12])
    return status if 100 <= status <= 599 else NOTHING


@dataclass(slots=True)
class HttpExchanges:
    """Pairs answers with requests, in each connection in their order.

    `tally` counts, by pair of services, request and status, how long the answer's first byte took
    (buckets of `spread`).
    """

    tally: dict[tuple[int, int, int], Counter[int]] = field(default_factory=dict)
    _waiting: OrderedDict[int, deque[tuple[int, int, int]]] = field(default_factory=OrderedDict)

    def add(self, flows: Ints, pairs: Ints, messages: Ints, over: Flags, times_ns: Ints) -> None:
        """Take messages in the order of their time; `over`: what waits there waits in vain."""
        waiting = self._waiting
        rows = zip(
            flows.tolist(),
            pairs.tolist(),
            messages.tolist(),
            over.tolist(),
            times_ns.tolist(),
            strict=True,
        )
        for flow, pair, message, ended, time_ns in rows:
            if ended and flow in waiting:
                self._give_up(waiting.pop(flow))
            if message >= FIRST_REQUEST:
                queue = waiting.get(flow)
                if queue is None:
                    queue = waiting[flow] = deque()
                    if len(waiting) > _OPEN_CONNECTIONS:
                        self._give_up(waiting.popitem(last=False)[1])
                queue.append((pair, message, time_ns))
                if len(queue) > _PIPELINED:
                    self._give_up(deque([queue.popleft()]))
            elif message >= 200 and (queue := waiting.get(flow)):
                asked_pair, asked, asked_ns = queue.popleft()
                self._count(asked_pair, asked, message, bucket_of(time_ns - asked_ns))
                if not queue:
                    del waiting[flow]

    def finish(self) -> None:
        """Count what nobody answered."""
        for queue in self._waiting.values():
            self._give_up(queue)
        self._waiting.clear()

    def _give_up(self, queue: deque[tuple[int, int, int]]) -> None:
        for pair, asked, _ in queue:
            self._count(pair, asked, UNANSWERED, 0)

    def _count(self, pair: int, request: int, status: int, bucket: int) -> None:
        key = (pair, request, status)
        counts = self.tally.get(key)
        if counts is None:
            counts = self.tally[key] = Counter()
        counts[bucket] += 1
