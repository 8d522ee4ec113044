"""Discovery and balancing: which instances each service has, and which one is next.

The registry is polled once a second; its last answer stays while it is unreachable. Until a new
registry is 10 s old, instances that it does not list are kept. An instance that refuses to connect
is ejected until it accepts (tried twice a second). If all are ejected, all are tried.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from urllib.parse import urlsplit

from services.api_gateway.client import Client, Upstream, UpstreamError
from services.common.call_stats import REGISTRY, CallStats
from services.common.logs import Log

POLL_S = 1.0
POLL_HUNGRY_S = 0.2
POLL_TIMEOUT_S = 1.0
WATCH_S = 0.5
EJECTED_S = 3.0
YOUNG_S = 10.0
STALE_S = 3.5

Registered = tuple[str, str, int]  # instance, address, port


class Rotation:
    """The instances of one service, in turn."""

    def __init__(self) -> None:
        self.upstreams: list[Upstream] = []
        self._next = 0

    def pick(self, now: float, tried: Iterable[Upstream] = ()) -> Upstream | None:
        """Give the next instance that was not tried; an ejected one only if there is no other."""
        upstreams = self.upstreams
        start = self._next
        second_choice = None
        for step in range(start, start + len(upstreams)):
            upstream = upstreams[step % len(upstreams)]
            if upstream in tried:
                continue
            if upstream.ejected_until <= now:
                self._next = step % len(upstreams) + 1
                return upstream
            second_choice = second_choice or upstream
        return second_choice

    def live(self, now: float) -> int:
        return sum(upstream.ejected_until <= now for upstream in self.upstreams)

    def update(self, registered: Iterable[Registered], keep_others: bool) -> list[Upstream]:
        """Apply the registry's answer; give the upstreams that are gone."""
        known = {(old.name, old.host, old.port): old for old in self.upstreams}
        current = {key: known.get(key) or Upstream(*key) for key in registered}
        if keep_others:
            current = {**known, **current}
        self.upstreams = [current[key] for key in sorted(current)]
        return [old for key, old in known.items() if key not in current]


class Directory:
    """The services that the gateway routes to, and their instances."""

    def __init__(
        self, services: Iterable[str], registry_url: str, log: Log, clock: Callable[[], float]
    ) -> None:
        self.rotations: Mapping[str, Rotation] = {name: Rotation() for name in services}
        url = urlsplit(registry_url)
        self._registry = Upstream("service-registry", url.hostname or "", url.port or 80)
        host = url.netloc.encode()
        self._request = b"GET /v1/services HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
        self.calls = CallStats()
        self._log = log
        self._clock = clock
        self._heard_at: float | None = None
        self._trouble = ""

    def registry_state(self) -> str:
        """Say how the registry stands: "ok", "unreachable: …", or that it was not asked yet."""
        if self._heard_at is not None and self._clock() - self._heard_at < STALE_S:
            return "ok"
        return f"unreachable: {self._trouble or 'not asked yet'}"

    def eject(self, upstream: Upstream, why: str) -> None:
        now = self._clock()
        if upstream.ejected_until <= now:
            self._log.event("warning", "instance ejected", instance=upstream.name, reason=why)
        upstream.ejected_until = now + EJECTED_S

    def learn(self, answer: bytes) -> list[Upstream]:
        """Apply the registry's answer; give the upstreams that are gone.

        Raises: ValueError, KeyError, TypeError for an answer that makes no sense.
        """
        body = json.loads(answer)
        young = float(body["registry"]["uptime_s"]) < YOUNG_S
        gone: list[Upstream] = []
        for name, rotation in self.rotations.items():
            before = [upstream.name for upstream in rotation.upstreams]
            registered = [
                (str(entry["instance"]), str(entry["address"]), int(entry["port"]))
                for entry in body["services"].get(name, ())
            ]
            gone += rotation.update(registered, keep_others=young)
            after = [upstream.name for upstream in rotation.upstreams]
            if after != before:
                self._log.event("info", "instances changed", upstream=name, instances=after)
        self._heard_at = self._clock()
        return gone

    async def follow(self, client: Client) -> None:
        """Poll the registry and apply its answers; never returns."""
        while True:
            try:
                with self.calls.timed(REGISTRY):
                    answer = await client.exchange(self._registry, self._request, POLL_TIMEOUT_S)
                if answer.status != 200:
                    raise ValueError(f"status {answer.status}")
                for upstream in self.learn(answer.body):
                    client.forget(upstream)
                self._trouble = ""
            except (UpstreamError, ValueError, KeyError, TypeError) as error:
                trouble = f"{type(error).__name__}: {error}"
                if not self._trouble:
                    self._log.event("warning", "registry cannot be reached", reason=trouble)
                self._trouble = trouble
            hungry = not all(rotation.upstreams for rotation in self.rotations.values())
            await asyncio.sleep(POLL_HUNGRY_S if hungry else POLL_S)

    async def watch(self, client: Client) -> None:
        """Keep a connection open to each instance, to notice unreachable ones; never returns."""
        while True:
            upstreams = list(chain.from_iterable(r.upstreams for r in self.rotations.values()))
            await asyncio.gather(*(self._look_at(client, upstream) for upstream in upstreams))
            await asyncio.sleep(WATCH_S)

    async def _look_at(self, client: Client, upstream: Upstream) -> None:
        try:
            if await client.warm(upstream):
                upstream.ejected_until = 0.0
        except UpstreamError as error:
            self.eject(upstream, str(error))
