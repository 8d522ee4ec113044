"""Ask replicas for their GET /metrics from inside their namespaces, all at once, bounded in time.

They answer it to 127.0.0.1 alone, so watching needs no flow. A replica that does not answer in
time, or without end, is left out, and delays no other.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from twinstack.linux import child
from twinstack.observe.live.probes import http_answer
from twinstack.observe.metrics.relayed import MOST_BYTES

#: HTTP/1.0: the answer ends with the connection.
_QUESTION = b"GET /metrics HTTP/1.0\r\nHost: localhost\r\nUser-Agent: twinstack-watch\r\n\r\n"
_CHUNK, _HEAD_BYTES = 65536, 16384


@dataclass(frozen=True, slots=True)
class Target:
    """A replica's main process, and the port that it answers at."""

    pid: int
    port: int


@dataclass(slots=True)
class _Asked:
    replica: tuple[str, str]
    connection: socket.socket
    data: bytearray = field(default_factory=bytearray)
    sent: bool = False


def ask(targets: Mapping[tuple[str, str], Target], within_s: float) -> dict[tuple[str, str], bytes]:
    """Give the bodies that came as a 200 in time, by world and replica."""
    deadline_s = time.monotonic() + within_s
    bodies: dict[tuple[str, str], bytes] = {}
    with selectors.DefaultSelector() as selector:
        try:
            for replica, target in targets.items():
                with suppress(OSError):
                    asked = _Asked(replica, _connect(target))
                    selector.register(asked.connection, selectors.EVENT_WRITE, asked)
            while selector.get_map() and (left_s := deadline_s - time.monotonic()) > 0:
                for key, _ in selector.select(left_s):
                    if _continue(key.data, selector):
                        selector.unregister(key.fileobj)
                        key.data.connection.close()
                        if (body := _body(bytes(key.data.data))) is not None:
                            bodies[key.data.replica] = body
        finally:
            for key in list(selector.get_map().values()):
                key.data.connection.close()
    return bodies


def _connect(target: Target) -> socket.socket:
    namespace = Path(f"/proc/{target.pid}/ns/net")
    if namespace.samefile(child.OWN):  # it is starting: a service of the host would answer
        raise OSError("has not joined its network namespace yet")
    connection = child.socket_in(namespace)
    connection.setblocking(False)
    connection.connect_ex(("127.0.0.1", target.port))  # an error shows when it is written to
    return connection


def _continue(asked: _Asked, selector: selectors.BaseSelector) -> bool:
    """Send or receive what can be; give whether no more will come."""
    try:
        if not asked.sent:
            asked.connection.send(_QUESTION)
            asked.sent = True
            selector.modify(asked.connection, selectors.EVENT_READ, asked)
            return False
        part = asked.connection.recv(_CHUNK)
    except BlockingIOError:
        return False
    except OSError:
        asked.data.clear()
        return True
    asked.data += part
    if len(asked.data) > MOST_BYTES + _HEAD_BYTES:
        asked.data.clear()
        return True
    return not part


def _body(data: bytes) -> bytes | None:
    answer = http_answer(data)
    return answer.body if answer is not None and answer.status == 200 else None
