"""A container's log, read and followed by the engine's API; the engine rotates it (json-file)."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import chain

import docker

from twinstack.compose.engine import API_TIMEOUT_S, connect_or_fail
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.failures import RAW, translate
from twinstack.errors import Missing, StepFailed, TwinstackError
from twinstack.world import LogRecord, LogSearch

_NS = 1_000_000_000
_HEADER = 8
#: Lines that may come between reading and following, or while a container restarts.
_BETWEEN = 10_000
_AGAIN_S = 1.0
_QUEUE_LINES = 20_000


class ContainerLog:
    """The log of a container; when that is replaced or restarted, of the next one of its name."""

    def __init__(self, engine: EnginePaths, name: str) -> None:
        self._engine = engine
        self._name = name
        self._seen_ns = 0  # when the engine took down the last line that was given
        self._new: queue.Queue[LogRecord] = queue.Queue(_QUEUE_LINES)
        self._thread: threading.Thread | None = None
        self._next_s = 0.0

    def read(self, search: LogSearch) -> Iterator[LogRecord]:
        """Give what is there; the engine finds the last lines by itself unless some are hidden."""
        options: dict[str, str | int] = {"tail": "all"}
        if search.last is not None and not search.filtered:
            options["tail"] = max(search.last, 1)  # one that is not shown says when it came
        if search.since is not None:
            options["since"] = max(int(search.since), 1)
        try:
            with closing(connect_or_fail(self._engine)) as client:
                records = self._records(client, options)
                if search.last is not None and (search.filtered or not search.last):
                    records = _last_shown(records, search, search.last)
                yield from records
        except RAW as error:
            raise translate(error, "docker.logs", reading=True) or error from error

    def follow(self) -> Iterator[LogRecord]:
        """Give what a thread has read meanwhile; start one again where its container ended."""
        for _ in range(self._new.qsize()):
            yield self._new.get_nowait()
        ended = self._thread is None or not self._thread.is_alive()
        if ended and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _AGAIN_S
            self._thread = threading.Thread(target=self._follow, daemon=True)
            self._thread.start()

    def _follow(self) -> None:
        options: dict[str, str | int] = {"tail": "all", "follow": 1}
        if self._seen_ns:
            since = f"{self._seen_ns // _NS}.{self._seen_ns % _NS:09d}"
            options |= {"tail": _BETWEEN, "since": since}
        try:
            with closing(connect_or_fail(self._engine)) as client:
                for record in self._records(client, options):
                    self._new.put(record)
        except (*RAW, TwinstackError, OSError):
            pass  # the container or the engine went; it is looked for again

    def _records(
        self, client: docker.DockerClient, options: Mapping[str, str | int]
    ) -> Iterator[LogRecord]:
        """Ask for lines that were not given yet. Source: Docker Engine API, ContainerLogs."""
        api = client.api
        url = f"{api.base_url}/v{api.api_version}/containers/{self._name}/logs"
        asked: dict[str, str | int] = {"stdout": 1, "stderr": 1, "timestamps": 1, **options}
        bound_s = None if "follow" in options else API_TIMEOUT_S
        with api.get(url, params=asked, stream=True, timeout=bound_s) as response:
            if response.status_code == 404:
                cause, remedy = "no such container", "run: invoke docker.up"
                raise Missing(self._name, "is not there", cause, remedy)
            if not response.ok:
                raise StepFailed(self._name, "its log cannot be read", response.text)
            before = self._seen_ns
            for received_ns, text in stamped_lines(frames(response.iter_content(None))):
                if received_ns > before:
                    self._seen_ns = received_ns
                    yield LogRecord(text.decode(errors="replace"), received_ns / _NS)


def _last_shown(records: Iterable[LogRecord], search: LogSearch, last: int) -> Iterator[LogRecord]:
    """Keep the last lines that are shown, each with those that go on from it."""
    kept: deque[list[LogRecord]] = deque(maxlen=last)
    goes_on = False
    for record in records:
        verdict = search.judge(record)
        if verdict == "goes on" and goes_on and kept:
            kept[-1].append(record)
        elif verdict != "goes on":
            goes_on = verdict == "shown"
            if goes_on:
                kept.append([record])
    return chain.from_iterable(kept)


def frames(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack the stream of a container without a terminal: 8 bytes of header, then a text.

    Source: Docker Engine API, ContainerAttach, "Stream format".
    """
    data = b""
    for chunk in chunks:
        data += chunk
        at = 0
        while len(data) >= at + _HEADER:
            end = at + _HEADER + int.from_bytes(data[at + 4 : at + _HEADER], "big")
            if end > len(data):
                break
            yield data[at + _HEADER : end]
            at = end
        data = data[at:]


def stamped_lines(texts: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Give each line and when it was received; one of more than 16 KB comes in several texts.

    Units: nanoseconds since 1970.
    """
    begun: tuple[int, bytes] | None = None
    for text in texts:
        stamp, _, words = text.partition(b" ")
        received_ns, line = begun or (_nanoseconds(stamp.decode()), b"")
        line += words
        if line.endswith(b"\n"):
            yield received_ns, line[:-1]
            begun = None
        else:
            begun = received_ns, line
    if begun:
        yield begun


def _nanoseconds(stamp: str) -> int:
    """Read 2026-11-29T10:00:00.123456789Z."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * _NS + int(fraction.ljust(9, "0") or 0)
