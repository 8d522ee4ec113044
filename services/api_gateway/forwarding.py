"""Send a request to the instances of a service until one answers.

A request of which nothing was sent goes to any other instance. One that may have been carried out
is sent once more, if the budget permits: an idempotent request when its connection broke; a safe
one (GET, HEAD) also when it had no answer within the time of one try, or a status of 500 or more,
and another instance is well.

A 409 with Retry-After says that nothing was changed because something was locked: such a request,
of whatever kind, waits here, where waiting is cheap, and is sent again for a while.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping

from services.api_gateway.client import Client, Patience, Upstream
from services.api_gateway.connection import (
    Answer,
    ConnectFailed,
    Slow,
    Stale,
    TimedOut,
    UpstreamError,
)
from services.api_gateway.rotation import Rotation

#: With the sweep's 0.2 s, a safe request that meets a silent instance is answered within a second.
TRY_S = 0.7
#: How long a request is sent again because something is locked, and what lies between.
BUSY_S = 2.5
AGAIN_AFTER_S = (0.1, 0.4)


class Unanswered(Exception):
    """No instance of a service answered. `failure` is the last one's; None: none is known."""

    def __init__(self, failure: UpstreamError | None, tried: list[Upstream]) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.tried = tried


class Forwarder:
    """Sends requests to the services' instances, each for `timeout_s` seconds at most."""

    def __init__(self, client: Client, rotations: Mapping[str, Rotation], timeout_s: float) -> None:
        self._client = client
        self._rotations = rotations
        self._timeout_s = timeout_s
        try_s = min(TRY_S, timeout_s / 2)
        self._patience = {
            name: Patience(try_s, rotation.take_retry_besides)
            for name, rotation in rotations.items()
        }

    async def send(
        self, service: str, data: bytes, *, head_only: bool, safe: bool, idempotent: bool
    ) -> tuple[Answer, Upstream]:
        """Give the answer, and the instance that gave it. Raises: Unanswered."""
        exchange, rotation = self._client.exchange, self._rotations[service]
        patience = self._patience[service] if safe else None
        tried: list[Upstream] = []
        failure: UpstreamError | None = None
        failed_answer: tuple[Answer, Upstream] | None = None
        left_s = self._timeout_s
        retried, busy_until = False, 0.0
        while (upstream := rotation.pick(tried)) is not None:
            tried.append(upstream)
            sent = time.monotonic()
            try:
                try:
                    answer = await exchange(
                        upstream, data, left_s, head_only=head_only, patience=patience
                    )
                except Stale:
                    if not idempotent:
                        raise
                    answer = await exchange(
                        upstream, data, left_s, head_only=head_only, patience=patience, fresh=True
                    )
            except UpstreamError as error:
                failure = error
                upstream.failures += 1
                rotation.failed(upstream, error)
                left_s -= time.monotonic() - sent
                if isinstance(error, ConnectFailed):  # Nothing was sent.
                    continue
                if retried or isinstance(error, TimedOut) or not idempotent:
                    break
                if not isinstance(error, Slow) and not rotation.take_retry():
                    break  # A slow one took its retry when it was given up.
            else:
                took_s = time.monotonic() - sent
                upstream.answers += 1
                upstream.busy_s += took_s
                if answer.status < 500:
                    if upstream.standing.strikes:
                        rotation.answered(upstream)
                    if answer.status != 409 or not _is_busy(answer):
                        return answer, upstream
                    busy_until = busy_until or time.monotonic() + BUSY_S
                    if time.monotonic() > busy_until or not rotation.take_retry():
                        return answer, upstream
                    await asyncio.sleep(random.uniform(*AGAIN_AFTER_S))
                    tried.clear()
                    left_s = self._timeout_s
                    continue
                upstream.errors += 1
                rotation.failed(upstream, answer.status)
                failed_answer = answer, upstream
                left_s -= took_s
                if retried or not safe or not rotation.take_retry_besides(upstream):
                    break
            retried, patience = True, None
        if failed_answer is not None:
            return failed_answer
        raise Unanswered(failure, tried)


def _is_busy(conflict: Answer) -> bool:
    return any(name.lower() == b"retry-after" for name, _ in conflict.headers)
