"""Which instances there are, and whose turn it is.

The registry is asked once a second. Its last answer is used for as long as it can't be reached;
a registry that has just started knows nobody yet, so until it has been up for a while what it
does not name is kept. An instance that refuses a connection is shunned until it takes one again
(which is tried twice a second), unless all are shunned: then each is as good as the next.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.api_gateway.client import Client, Upstream, UpstreamError
from services.common.asked import REGISTRY, Asked
from services.common.logs import Log

POLL_S = 1.0
POLL_HUNGRY_S = 0.2
POLL_TIMEOUT_S = 1.0
WATCH_S = 0.5
SHUN_S = 3.0
YOUNG_S = 10.0
STALE_S = 3.5

Found = tuple[str, str, int]  # instance, address, port


class Rotation:
    """The instances of one service, in turn."""

    def __init__(self) -> None:
        self.upstreams: list[Upstream] = []
        self._next = 0

    def pick(self, now: float, tried: Iterable[Upstream] = ()) -> Upstream | None:
        """Give the next instance that was not tried; a shunned one only if there is no other."""
        upstreams = self.upstreams
        count = len(upstreams)
        start = self._next
        second_choice = None
        for step in range(count):
            place = (start + step) % count
            upstream = upstreams[place]
            if upstream in tried:
                continue
            if upstream.shunned_until <= now:
                self._next = place + 1
                return upstream
            if second_choice is None:
                second_choice = upstream
        return second_choice

    def live(self, now: float) -> int:
        """Count the instances that are not shunned."""
        return sum(upstream.shunned_until <= now for upstream in self.upstreams)

    def update(self, found: Iterable[Found], keep_others: bool) -> list[Upstream]:
        """Take in what the registry says; give the upstreams that are no more."""
        known = {(one.name, one.host, one.port): one for one in self.upstreams}
        wanted = {key: known.get(key) or Upstream(*key) for key in found}
        if keep_others:
            wanted = {**known, **wanted}
        self.upstreams = [wanted[key] for key in sorted(wanted)]
        return [one for key, one in known.items() if key not in wanted]


@dataclass(frozen=True, slots=True)
class RegistryState:
    """How the registry stands: "ok", "unreachable: …", or "not asked yet"."""

    text: str
    reachable: bool


class Directory:
    """All that the gateway knows about the services it routes to."""

    def __init__(
        self, services: Iterable[str], registry_url: str, log: Log, clock: Callable[[], float]
    ) -> None:
        self.rotations: Mapping[str, Rotation] = {name: Rotation() for name in services}
        url = urlsplit(registry_url)
        self._registry = Upstream("service-registry", url.hostname or "", url.port or 80)
        host = url.netloc.encode()
        self._request = b"GET /v1/services HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
        self.asked = Asked()
        self._log = log
        self._clock = clock
        self._heard_at: float | None = None
        self._trouble = ""

    def registry_state(self) -> RegistryState:
        """Say whether what is known is fresh."""
        if self._heard_at is not None and self._clock() - self._heard_at < STALE_S:
            return RegistryState("ok", True)
        return RegistryState(f"unreachable: {self._trouble or 'not asked yet'}", False)

    def shun(self, upstream: Upstream, why: str) -> None:
        """Pass an instance over for a moment."""
        now = self._clock()
        if upstream.shunned_until <= now:
            self._log.event("warning", "instance shunned", instance=upstream.name, reason=why)
        upstream.shunned_until = now + SHUN_S

    def learn(self, answer: bytes) -> list[Upstream]:
        """Take in the registry's answer; give the upstreams that are no more.

        Raises: ValueError, KeyError, TypeError for an answer that makes no sense.
        """
        body = json.loads(answer)
        young = float(body["registry"]["uptime_s"]) < YOUNG_S
        gone: list[Upstream] = []
        for name, rotation in self.rotations.items():
            before = [one.name for one in rotation.upstreams]
            found = [
                (str(one["instance"]), str(one["address"]), int(one["port"]))
                for one in body["services"].get(name, ())
            ]
            gone += rotation.update(found, keep_others=young)
            after = [one.name for one in rotation.upstreams]
            if after != before:
                self._log.event("info", "instances changed", upstream=name, instances=after)
        self._heard_at = self._clock()
        return gone

    async def follow(self, client: Client) -> None:
        """For ever: ask the registry, take in what it says."""
        while True:
            try:
                for upstream in await self._ask(client):
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
        """For ever: keep a connection open to each instance, and so notice who can't be reached."""
        while True:
            upstreams = [one for rotation in self.rotations.values() for one in rotation.upstreams]
            await asyncio.gather(*(self._look_at(client, one) for one in upstreams))
            await asyncio.sleep(WATCH_S)

    async def _look_at(self, client: Client, upstream: Upstream) -> None:
        had_none = not any(connection.open for connection in upstream.idle)
        try:
            await client.warm(upstream)
        except UpstreamError as error:
            self.shun(upstream, str(error))
        else:
            if had_none:
                upstream.shunned_until = 0.0

    async def _ask(self, client: Client) -> list[Upstream]:
        with self.asked.of(REGISTRY):
            answer = await client.exchange(
                self._registry, self._request, False, POLL_TIMEOUT_S, fresh=False
            )
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        return self.learn(answer.body)
