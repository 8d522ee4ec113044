"""Redis for a threaded service: a pooled connection for each thread, short time-outs, a breaker.

It stands on redis-py's `Connection` (handshake, hiredis parser) without its client, whose every
call takes a lock, a retry policy and a metrics hook: half of the cost of a cached answer.
Values come and go as bytes.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.common.breaker import Breaker
from services.common.call_stats import REDIS, CallStats
from services.common.failures import RedisDown
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

    Every method raises RedisDown when the server does not answer in time, or refuses.
    """

    def __init__(
        self, settings: Settings, calls: CallStats | None = None, breaker: Breaker | None = None
    ) -> None:
        self._settings = settings
        self._calls = calls or CallStats()
        self._local = threading.local()
        self.breaker = breaker or Breaker(REST_S)

    def get(self, key: bytes) -> bytes | None:
        answer: bytes | None = self.command(b"GET", key)
        return answer

    def command(self, *arguments: Argument) -> Any:
        """Run one command that may safely be sent twice, and give its answer."""
        return self._with_connection(lambda link: _ask(link, arguments))

    def script(self, script: Script, keys: Sequence[Argument], values: Sequence[Argument]) -> Any:
        tail = (len(keys), *keys, *values)

        def run(link: Link) -> Any:
            try:
                return _ask(link, ("EVALSHA", script.digest, *tail))
            except NoScriptError:
                return _ask(link, ("EVAL", script.text, *tail))

        return self._with_connection(run)

    def ping(self) -> None:
        self._take_leave()
        self._uncounted(lambda link: _ask(link, ("PING",)))

    def _take_leave(self) -> None:
        """Raise RedisDown, uncounted, while the breaker is open."""
        if not self.breaker.allow():
            raise RedisDown("no answer a moment ago")

    def _with_connection(self, run: Callable[[Link], Any]) -> Any:
        self._take_leave()
        started = time.perf_counter()
        try:
            answer = self._uncounted(run)
        except RedisDown:
            self._calls.add(REDIS, time.perf_counter() - started, failed=True)
            raise
        self._calls.add(REDIS, time.perf_counter() - started)
        return answer

    def _uncounted(self, run: Callable[[Link], Any]) -> Any:
        link: Link | None = getattr(self._local, "link", None)
        if link is not None:
            try:
                answer = run(link)
            except RedisTimeoutError as error:
                self._drop(link)
                raise self._down(error) from error
            except (RedisConnectionError, OSError):
                self._drop(link)  # Stale: Redis was restarted. One fresh connection, once.
            except ResponseError as error:
                raise self._refused(error) from error
            else:
                self.breaker.succeeded()
                return answer
        try:
            link = self._connect()
            answer = run(link)
        except ResponseError as error:
            raise self._refused(error) from error
        except (RedisError, OSError) as error:
            if link is not None:
                self._drop(link)
            raise self._down(error) from error
        self.breaker.succeeded()
        return answer

    def _connect(self) -> Link:
        settings = self._settings
        make: Callable[..., Link] = Connection
        link = make(
            host=settings.redis_host,
            port=settings.redis_port,
            password=settings.secret("redis_password") or None,
            socket_timeout=COMMAND_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_keepalive=True,
            protocol=2,
            driver_info=None,
        )
        link.connect()
        self._local.link = link
        return link

    def _drop(self, link: Link) -> None:
        self._local.link = None
        link.disconnect()

    def _refused(self, error: ResponseError) -> RedisDown:
        self.breaker.succeeded()  # It answers, and the connection is as good as before.
        return RedisDown(f"refused: {error}")

    def _down(self, error: Exception) -> RedisDown:
        self.breaker.failed()
        return RedisDown(f"{type(error).__name__}: {error}")


def _ask(link: Link, arguments: Sequence[Argument]) -> Any:
    link.send_command(*arguments, check_health=False)
    return link.read_response()
