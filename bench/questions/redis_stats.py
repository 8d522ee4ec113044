"""How often Redis ran each command: the proof that a request was not answered from memory.

Source: Redis, "INFO commandstats"; RESP2.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from twinstack.errors import CannotTell
from twinstack.linux.child import socket_in
from twinstack.software.secrets import OPERATOR
from twinstack.world import Endpoint


def command_calls(
    redis: Endpoint, password: str, *, namespace: Path | None = None, timeout_s: float = 3.0
) -> dict[str, int]:
    """Give the number of calls of each command so far. Raises: CannotTell.

    `namespace` is the network that it is asked from: a policy lets nobody in from the host.
    """
    try:
        with socket_in(namespace, partial(_connect, redis, timeout_s)) as connection:
            stream = connection.makefile("rb")
            connection.sendall(_command("AUTH", OPERATOR, password))
            status = stream.readline()
            if not status.startswith(b"+OK"):
                raise CannotTell("redis", "refuses the password", status.decode().strip())
            connection.sendall(_command("INFO", "commandstats"))
            head = stream.readline()
            if not head.startswith(b"$"):
                raise CannotTell("redis", "sends no statistics", head.decode().strip())
            return parse_calls(stream.read(int(head[1:])).decode())
    except (OSError, ValueError) as error:
        raise CannotTell(
            f"redis at {redis.address}:{redis.port}",
            "cannot be asked",
            str(error),
            'see "invoke net.status"',
        ) from error


def _connect(redis: Endpoint, timeout_s: float = 3.0) -> socket.socket:
    return socket.create_connection((redis.address, redis.port), timeout=timeout_s)


@contextmanager
def forgetting(
    redis: Endpoint, password: str, key: str, every_s: float, namespace: Path | None = None
) -> Iterator[None]:
    """Delete a key again and again while the block lasts. Raises: CannotTell."""
    command_calls(redis, password, namespace=namespace)  # it answers, and knows the password
    ended = threading.Event()

    def forget() -> None:
        with suppress(OSError), socket_in(namespace, partial(_connect, redis)) as connection:
            connection.sendall(_command("AUTH", OPERATOR, password))
            while not ended.wait(every_s):
                connection.recv(4096)
                connection.sendall(_command("DEL", key))

    forgets = threading.Thread(target=forget)
    forgets.start()
    try:
        yield
    finally:
        ended.set()
        forgets.join()


def parse_calls(text: str) -> dict[str, int]:
    """Read INFO commandstats."""
    counters = re.findall(r"^cmdstat_([\w|-]+):calls=(\d+)", text, re.MULTILINE)
    return {command: int(calls) for command, calls in counters}


def _command(*words: str) -> bytes:
    parts = [f"*{len(words)}\r\n"]
    parts += [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return "".join(parts).encode()
