"""Redis, asked as its operator: how often it ran each command, and its settings.

Its own counters prove that a request was not answered from memory.
Source: Redis, "INFO commandstats", "CONFIG GET"; RESP2.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from twinstack.errors import CannotTell
from twinstack.linux.child import socket_in
from twinstack.software.secrets import OPERATOR
from twinstack.world import Endpoint

_TIMEOUT_S = 3.0


@contextmanager
def operated(
    redis: Endpoint, password: str, namespace: Path | None = None
) -> Iterator[Callable[..., Any]]:
    """Log in while the block lasts; gives what asks a command. Raises: CannotTell.

    `namespace` is the network that it is asked from: a policy lets nobody in from the host.
    """
    address = (redis.address, redis.port)
    connect = partial(socket.create_connection, address, timeout=_TIMEOUT_S)
    try:
        with socket_in(namespace, connect) as connection, connection.makefile("rb") as stream:

            def ask(*words: str) -> Any:
                connection.sendall(_command(words))
                return _answer(stream)

            ask("AUTH", OPERATOR, password)
            yield ask
    except (OSError, ValueError) as error:
        where, remedy = f"redis at {redis.address}:{redis.port}", 'see "invoke net.status"'
        raise CannotTell(where, "cannot be asked", str(error), remedy) from error


def command_calls(redis: Endpoint, password: str, namespace: Path | None = None) -> dict[str, int]:
    """Give the number of calls of each command so far. Raises: CannotTell."""
    with operated(redis, password, namespace) as ask:
        return parse_calls(ask("INFO", "commandstats"))


def settings(redis: Endpoint, password: str, namespace: Path | None = None) -> dict[str, str]:
    """Give its configuration as it is in force. Raises: CannotTell."""
    with operated(redis, password, namespace) as ask:
        words = ask("CONFIG", "GET", "*")
        return dict(zip(words[::2], words[1::2], strict=True))


def parse_calls(text: str) -> dict[str, int]:
    """Read INFO commandstats; pure."""
    counters = re.findall(r"^cmdstat_([\w|-]+):calls=(\d+)", text, re.MULTILINE)
    return {command: int(calls) for command, calls in counters}


def _command(words: tuple[str, ...]) -> bytes:
    parts = (f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


def _answer(stream: IO[bytes]) -> Any:
    """Read one answer. Raises: ValueError for a refusal, or where the connection has ended."""
    head = stream.readline().decode()
    kind, text = head[:1], head[1:].rstrip("\r\n")
    if kind == "*":
        return [_answer(stream) for _ in range(int(text))]
    if kind == "$":
        return stream.read(int(text) + 2)[:-2].decode()
    if kind in {"+", ":"}:
        return text
    raise ValueError(text or "it ended the connection")
