"""Discovery: ask the registry once a second which instances each service has.

Its last answer stays while it is unreachable. Nor does its word alone take an instance away:
`membership` decides who stays.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from services.api_gateway.client import Client, Upstream
from services.api_gateway.connection import UpstreamError
from services.api_gateway.eager import in_task
from services.api_gateway.membership import Registered, listings, members
from services.api_gateway.rotation import Rotation
from services.api_gateway.standing import Rank
from services.common.call_stats import REGISTRY, CallStats
from services.common.logs import Log

POLL_S = 1.0
POLL_HUNGRY_S = 0.2
POLL_TIMEOUT_S = 1.0
STALE_S = 3.5
#: One that has no running lease is gone when it was unreachable for so long.
SILENT_S = 10.0


class Directory:
    """The services that the gateway routes to, and their instances."""

    def __init__(
        self, services: Iterable[str], registry_url: str, log: Log, clock: Callable[[], float]
    ) -> None:
        self.rotations: Mapping[str, Rotation] = {name: Rotation(log, clock) for name in services}
        url = urlsplit(registry_url)
        self._registry = Upstream("service-registry", url.hostname or "", url.port or 80)
        host = url.netloc.encode()
        self._request = b"GET /v1/services HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
        self.calls = CallStats()
        self._log = log
        self._clock = clock
        self._heard_at: float | None = None
        self._silent_since: dict[Registered, float] = {}
        self._trouble = ""

    def registry_state(self) -> str:
        """Say how the registry stands: "ok", "unreachable: …", or that it was not asked yet."""
        if self._heard_at is not None and self._clock() - self._heard_at < STALE_S:
            return "ok"
        return f"unreachable: {self._trouble or 'not asked yet'}"

    def learn(self, answer: bytes) -> list[Upstream]:
        """Apply the registry's answer; give the upstreams that are gone.

        Raises: ValueError, KeyError, TypeError for an answer that makes no sense.
        """
        listed = listings(json.loads(answer))
        now = self._clock()
        self._silent_since = {
            upstream.key: self._silent_since.get(upstream.key, now)
            for rotation in self.rotations.values()
            for upstream in rotation.upstreams
            if upstream.standing.rank is Rank.UNREACHABLE
        }

        def is_silent(key: Registered) -> bool:
            return self._silent_since.get(key, now) <= now - SILENT_S

        gone: list[Upstream] = []
        for name, rotation in self.rotations.items():
            before = [upstream.name for upstream in rotation.upstreams]
            known = {upstream.key for upstream in rotation.upstreams}
            gone += rotation.update(members(name, listed, known, is_silent))
            after = [upstream.name for upstream in rotation.upstreams]
            if after != before:
                self._log.event("info", "instances changed", upstream=name, instances=after)
        self._heard_at = now
        return gone

    async def follow(self, client: Client) -> None:
        """Poll the registry and apply its answers; never returns."""
        while True:
            try:
                with self.calls.timed(REGISTRY):
                    asking = client.exchange(self._registry, self._request, POLL_TIMEOUT_S)
                    answer = await in_task(asking)
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
