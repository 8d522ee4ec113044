"""The link on which Redis says which keys of the catalogue change, and the thread that keeps it.

Redis sends on it what changes and the answers to PINGs, in its own order. So a PING that is
answered proves that each change that Redis acknowledged before it was sent has been heard.
"""

from __future__ import annotations

import select
import threading
import time
from typing import Any, NoReturn

from hiredis import HiredisError

from services.common.catalogue import KEYS
from services.common.logs import Log
from services.common.redis_link import RedisLink, pack
from services.common.redis_store import CACHE_WAIT_S
from services.common.settings import Settings
from services.product_service.near_cache import TRUST_S, Copies

PING_EVERY_S = 0.2
RETRY_S = 0.25


class Tracking:
    """Drops copies whose keys change, and vouches for the others."""

    def __init__(self, settings: Settings, copies: Copies, log: Log) -> None:
        self._settings = settings
        self._copies = copies
        self._log = log
        self._trouble: str | None = ""  # the last, said once; None: none, which was said too

    def start(self) -> None:
        threading.Thread(target=self._run, name="tracking", daemon=True).start()

    def _run(self) -> NoReturn:
        while True:
            try:
                self._follow()
            except (HiredisError, OSError) as error:
                self._copies.end()
                trouble = f"{type(error).__name__}: {error}"
                if trouble != self._trouble:
                    self._trouble = trouble
                    self._log.event("warning", "near cache is bypassed", reason=trouble)
            time.sleep(RETRY_S)

    def _follow(self) -> NoReturn:
        """Hear of changes until the link ends. Raises: HiredisError, OSError."""
        link = _Link(self._settings, CACHE_WAIT_S)
        try:
            link.track(KEYS)
            self._copies.begin()
            while True:
                self._prove(link)
        finally:
            link.close()

    def _prove(self, link: _Link) -> None:
        """Send a PING, and hear of changes until the next is due. Raises: OSError."""
        sent_s = time.monotonic()
        until_s, answered = sent_s + TRUST_S, False
        link.ping()
        while (left_s := until_s - time.monotonic()) > 0:
            said = link.hear(left_s)
            if said == b"PONG":
                until_s, answered = sent_s + PING_EVERY_S, True
                self._copies.trust(sent_s)
                if self._trouble is not None:
                    self._trouble = None
                    self._log.event("info", "near cache is coherent")
            elif isinstance(said, list) and said[0] == b"invalidate":
                self._copies.changed(said[1])
        if not answered:
            raise TimeoutError(f"no answer within {TRUST_S:g} s")


class _Link(RedisLink):
    """A connection on which Redis speaks unasked. Source: Redis, "CLIENT TRACKING"; RESP3."""

    def track(self, prefix: bytes) -> None:
        """Have Redis say which keys that begin so change, whoever read them."""
        self.ask("HELLO", 3)
        self.ask("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", prefix)

    def ping(self) -> None:
        self._socket.sendall(pack(("PING",)))

    def hear(self, wait_s: float) -> Any:
        """Give what Redis says next; None if that is nothing whole for so long."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        said = self._reader.gets()
        while said is False:
            if not poller.poll(wait_s * 1000):
                return None
            self._receive()
            said = self._reader.gets()
        return said
