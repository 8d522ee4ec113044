"""The circuit breaker: closed, open, half open."""

from __future__ import annotations

import pytest

from services.common.failures import Breaker, RedisDown


def test_a_breaker_rests_after_a_failure_then_lets_one_try() -> None:
    now = [0.0]
    breaker = Breaker(1.0, RedisDown, lambda: now[0])
    breaker.enter()
    breaker.failed()
    with pytest.raises(RedisDown):
        breaker.enter()
    now[0] = 1.0
    breaker.enter()
    with pytest.raises(RedisDown):
        breaker.enter()
    breaker.succeeded()
    breaker.enter()
    breaker.enter()
