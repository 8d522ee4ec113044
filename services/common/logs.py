"""Logs as JSON lines on standard output, written by a thread of their own.

A request only appends to a queue; the thread wakes when there is something, gathers for a
moment, and writes once. A reader that stops reading costs log lines (counted), never requests.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import traceback
from collections import deque

from services.common.process import at_exit

GATHER_S = 0.02
QUEUE_LINES = 20_000
LINES_AT_ONCE = 512

_quote = json.encoder.encode_basestring_ascii
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


class Log:
    """The log of one service. Cheap to call, safe in threads and after a fork."""

    def __init__(self, service: str, replica: str, requests: bool = True, fd: int = 1) -> None:
        self._head = f'{{"service":{_quote(service)},"replica":{_quote(replica)}'
        self._fd = fd
        self.requests = requests
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        at_exit(self.flush)

    def _reset(self) -> None:
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._wake = threading.Event()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None

    def request(
        self,
        request_id: str,
        method: str,
        path: str,
        status: int,
        took_s: float,
        upstream: str | None = None,
    ) -> None:
        """Log one request (nothing when request logs are off)."""
        if not self.requests:
            return
        via = f',"upstream":{_quote(upstream)}' if upstream else ""
        self._put(
            f'{self._head},"time":{time.time():.3f},"level":"info","message":"request",'
            f'"request_id":{_quote(request_id)},"method":{_quote(method)},"path":{_quote(path)},'
            f'"status":{status},"took_ms":{took_s * 1000:.3f}{via}}}\n'
        )

    def event(self, level: str, message: str, **more: object) -> None:
        """Log one event, with whatever fields belong to it."""
        self._put(self._line(level, message, more))

    def exception(self, message: str, **more: object) -> None:
        """Log the exception being handled, with its traceback: here and nowhere else."""
        kind, error, _ = sys.exc_info()
        text = f"{kind.__name__ if kind else 'none'}: {error}"
        self.event("error", message, error=text, traceback=traceback.format_exc(), **more)

    def flush(self) -> None:
        with self._writing:
            while self._lines:
                count = min(len(self._lines), LINES_AT_ONCE)
                self._write("".join(self._lines.popleft() for _ in range(count)))
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._write(self._line("warning", "log lines dropped", {"lines": dropped}))

    def _put(self, line: str) -> None:
        if len(self._lines) >= QUEUE_LINES:
            self._dropped += 1
            return
        self._lines.append(line)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def _line(self, level: str, message: str, more: dict[str, object]) -> str:
        fields = _encode(more)[1:-1]
        return (
            f'{self._head},"time":{time.time():.3f},"level":"{level}",'
            f'"message":{_quote(message)}{"," if fields else ""}{fields}}}\n'
        )

    def _write(self, text: str) -> None:
        view = memoryview(text.encode())
        with contextlib.suppress(OSError):  # Without a reader there is no place for the error.
            while view:
                view = view[os.write(self._fd, view) :]

    def _run(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(GATHER_S)
            self._wake.clear()
            self.flush()
