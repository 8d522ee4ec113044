"""Redis' own counters are read by command."""

from __future__ import annotations

from twinstack.observe import redis


def test_calls_are_read_by_command() -> None:
    text = (
        "# Commandstats\r\ncmdstat_get:calls=17,usec=30,usec_per_call=1.7\r\n"
        "cmdstat_config|get:calls=2,usec=3\r\n"
    )
    assert redis.parse_calls(text) == {"get": 17, "config|get": 2}
