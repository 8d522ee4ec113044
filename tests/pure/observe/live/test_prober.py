"""A replica is asked inside its own network namespace, never in the watcher's."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

import pytest

from tests.support.bench_fakes import PLAN
from twinstack.observe.live.prober import Prober


def test_a_process_that_has_not_joined_its_namespace_is_not_asked_on_the_host() -> None:
    """The host's own Redis would answer for a redis-cache that is only starting."""
    with socket.create_server(("127.0.0.1", 0)) as host_redis:
        redis = replace(PLAN.replica("redis-cache"), port=host_redis.getsockname()[1])
        prober = Prober(replace(PLAN, replicas=(redis,)))
        prober.follow({redis.name: os.getpid()})
        prober.round(0.05)
        result = prober.probes[redis.name].result
        assert result.health == "down"
        assert result.detail == "has not joined its network namespace yet"
        prober.close()
        host_redis.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            host_redis.accept()
