"""Redis for a threaded service: a connection for each thread, short time-outs, a breaker.

Values come and go as bytes.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from hiredis import ReplyError

from services.common.call_stats import REDIS, CallStats
from services.common.failures import Breaker, RedisDown, RedisFull
from services.common.redis_link import Argument, RedisLink
from services.common.settings import Settings

REST_S = 1.0
#: A cache that is late is passed over, in time for a safe request's first try (0.7 s at the
#: gateway). What is in a cart only Redis knows; that wait ends within a health check's second.
CACHE_WAIT_S = 0.25
CARTS_WAIT_S = 0.8


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

    def __init__(self, settings: Settings, calls: CallStats, wait_s: float = CACHE_WAIT_S) -> None:
        self._settings = settings
        self._wait_s = wait_s  # for a connection, and for each answer
        self._calls = calls
        self._local = threading.local()
        self.breaker = Breaker(REST_S, RedisDown)

    def get(self, key: bytes) -> bytes | None:
        answer: bytes | None = self.command(b"GET", key)
        return answer

    def command(self, *arguments: Argument) -> Any:
        """Run one command that may safely be sent twice, and give its answer."""
        return self._counted(lambda link: link.ask(*arguments))

    def script(self, script: Script, keys: Sequence[Argument], values: Sequence[Argument]) -> Any:
        """Run a script, which may change something: it is never sent a second time."""
        tail = (len(keys), *keys, *values)

        def run(link: RedisLink) -> Any:
            try:
                return link.ask("EVALSHA", script.digest, *tail)
            except ReplyError as error:
                if not str(error).startswith("NOSCRIPT"):
                    raise
                return link.ask("EVAL", script.text, *tail)

        return self._counted(run, once=True)

    def ping(self) -> None:
        self.breaker.enter()
        self._run(lambda link: link.ask("PING"))

    def _counted(self, run: Callable[[RedisLink], Any], once: bool = False) -> Any:
        self.breaker.enter()
        started = time.perf_counter()
        failed = True
        try:
            answer = self._run(run, once)
            failed = False
        finally:
            self._calls.count(REDIS, time.perf_counter() - started, failed)
        return answer

    def _run(self, run: Callable[[RedisLink], Any], once: bool = False) -> Any:
        kept: RedisLink | None = getattr(self._local, "link", None)
        if once and kept is not None and kept.is_stale():  # Found out before something is sent.
            self._drop()
            kept = None
        try:
            try:
                answer = run(kept or self._connect())
            except TimeoutError:
                raise
            except OSError:
                if kept is None or once:
                    raise
                self._drop()  # Stale: Redis was restarted. One fresh connection, once.
                answer = run(self._connect())
        except ReplyError as error:
            self.breaker.succeeded()  # It answers, and the connection is as good as before.
            if str(error).startswith("OOM"):
                raise RedisFull(str(error)) from error
            raise RedisDown(f"refused: {error}") from error
        except OSError as error:
            self._drop()
            self.breaker.failed()
            raise RedisDown(f"{type(error).__name__}: {error}") from error
        self.breaker.succeeded()
        return answer

    def _connect(self) -> RedisLink:
        link = self._local.link = RedisLink(self._settings, self._wait_s)
        return link

    def _drop(self) -> None:
        link: RedisLink | None = self._local.__dict__.pop("link", None)
        if link is not None:
            link.close()
