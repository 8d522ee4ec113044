"""Redis for a threaded service: a pooled connection for each thread, short time-outs, a breaker.

It stands on redis-py's `Connection` (handshake, hiredis parser) without its client, whose every
call takes a lock, a retry policy and a metrics hook: half of the cost of a cached answer.
Values come and go as bytes.
"""

from __future__ import annotations

import hashlib
import select
import threading
from collections.abc import Callable, Sequence
from typing import Any

from redis.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError, ResponseError

from services.common.call_stats import REDIS, CallStats
from services.common.failures import Breaker, RedisDown, RedisFull
from services.common.settings import Settings

CONNECT_TIMEOUT_S = 0.25
COMMAND_TIMEOUT_S = 0.25
REST_S = 1.0
Argument = bytes | str | int
Link = Any  # redis-py ships its types, but leaves Connection without.


class Script:
    """A Lua script, known to Redis by its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisStore:
    """Speak to one Redis server from any number of threads.

    Every method raises RedisDown when the server does not answer in time, or refuses; RedisFull,
    which is one, for want of memory.
    """

    def __init__(self, settings: Settings, calls: CallStats) -> None:
        self._settings = settings
        self._calls = calls
        self._local = threading.local()
        self.breaker = Breaker(REST_S, RedisDown)

    def get(self, key: bytes) -> bytes | None:
        answer: bytes | None = self.command(b"GET", key)
        return answer

    def command(self, *arguments: Argument) -> Any:
        """Run one command that may safely be sent twice, and give its answer."""
        return self._counted(lambda link: _ask(link, arguments))

    def script(self, script: Script, keys: Sequence[Argument], values: Sequence[Argument]) -> Any:
        """Run a script, which may change something: it is never sent a second time."""
        tail = (len(keys), *keys, *values)

        def run(link: Link) -> Any:
            try:
                return _ask(link, ("EVALSHA", script.digest, *tail))
            except NoScriptError:
                return _ask(link, ("EVAL", script.text, *tail))

        return self._counted(run, once=True)

    def ping(self) -> None:
        self.breaker.enter()
        self._run(lambda link: _ask(link, ("PING",)))

    def _counted(self, run: Callable[[Link], Any], once: bool = False) -> Any:
        self.breaker.enter()
        with self._calls.timed(REDIS, RedisDown):
            return self._run(run, once)

    def _run(self, run: Callable[[Link], Any], once: bool = False) -> Any:
        kept: Link | None = getattr(self._local, "link", None)
        if once and kept is not None and _is_stale(kept):  # Found out before something is sent.
            self._drop()
            kept = None
        try:
            try:
                answer = run(kept or self._connect())
            except (RedisConnectionError, OSError):
                if kept is None or once:
                    raise
                self._drop()  # Stale: Redis was restarted. One fresh connection, once.
                answer = run(self._connect())
        except OutOfMemoryError as error:
            self.breaker.succeeded()
            raise RedisFull(f"OOM: {error}") from error
        except ResponseError as error:
            self.breaker.succeeded()  # It answers, and the connection is as good as before.
            raise RedisDown(f"refused: {error}") from error
        except (RedisError, OSError) as error:
            self._drop()
            self.breaker.failed()
            raise RedisDown(f"{type(error).__name__}: {error}") from error
        self.breaker.succeeded()
        return answer

    def _connect(self) -> Link:
        settings = self._settings
        make: Callable[..., Link] = Connection
        password = settings.secret("redis_password")
        link = make(
            host=settings.redis_host,
            port=settings.redis_port,
            username=settings.redis_user if password else None,
            password=password or None,
            socket_timeout=COMMAND_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_keepalive=True,
            protocol=2,
            driver_info=None,
        )
        link.connect()
        self._local.link = link
        return link

    def _drop(self) -> None:
        link: Link | None = self._local.__dict__.pop("link", None)
        if link is not None:
            link.disconnect()


def _is_stale(link: Link) -> bool:
    """Tell whether an idle connection was closed: then there is something to read on it."""
    poller = select.poll()
    poller.register(link._sock, select.POLLIN)
    return bool(poller.poll(0))


def _ask(link: Link, arguments: Sequence[Argument]) -> Any:
    link.send_command(*arguments, check_health=False)
    return link.read_response()
