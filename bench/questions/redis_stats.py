"""How often Redis ran each command: the proof that a request was not answered from memory.

Source: Redis, "INFO commandstats"; RESP2.
"""

from __future__ import annotations

import re
import socket

from twinstack.errors import CannotTell
from twinstack.world import Endpoint


def command_calls(redis: Endpoint, password: str, *, timeout_s: float = 3.0) -> dict[str, int]:
    """Give the number of calls of each command so far. Raises: CannotTell."""
    try:
        with socket.create_connection((redis.address, redis.port), timeout=timeout_s) as connection:
            stream = connection.makefile("rb")
            connection.sendall(_command("AUTH", password))
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


def parse_calls(text: str) -> dict[str, int]:
    """Read INFO commandstats."""
    counters = re.findall(r"^cmdstat_([\w|-]+):calls=(\d+)", text, re.MULTILINE)
    return {command: int(calls) for command, calls in counters}


def _command(*words: str) -> bytes:
    parts = [f"*{len(words)}\r\n"]
    parts += [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return "".join(parts).encode()
