"""The circuit breaker: closed, open, half open."""

from __future__ import annotations

from services.common.breaker import Breaker


def test_a_breaker_rests_after_a_failure_then_lets_one_try() -> None:
    now = [0.0]
    breaker = Breaker(1.0, lambda: now[0])
    assert breaker.allow()
    breaker.failed()
    assert not breaker.allow()
    now[0] = 1.0
    assert breaker.allow()
    assert not breaker.allow()
    breaker.succeeded()
    assert breaker.allow()
    assert breaker.allow()
