"""A journey's stages add up to the whole, in their order."""

from __future__ import annotations

import pytest

from tests.support.journey_cases import journey


def test_stages_add_up_to_the_whole():
    stages = journey().stages()
    assert sum(took for _, took in stages.values()) == pytest.approx(120)
    assert list(stages)[:3] == [
        "client → nginx-lb: connect",
        "client",
        "client → nginx-lb: request",
    ]
    kind, took_us = stages["api-gateway"]
    assert kind == "work"
    assert took_us == pytest.approx(26)
