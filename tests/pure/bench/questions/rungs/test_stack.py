"""An entry point of the stack is proved by who spends CPU time for its requests."""

from __future__ import annotations

import pytest

from bench.engine.arm import Window
from bench.questions.rungs import stack
from tests.support import bench_fakes


def entered(
    product: float = 0, gateway: float = 0, edge: float = 0, proxy: float = 0
) -> list[Window]:
    """Give windows in which each spends so much for a request. Units: µs."""
    services = {"product-service-2": product, "api-gateway": gateway, "nginx-lb": edge}
    spent_us = {name: us * 1000 for name, us in services.items()}
    parts = {"services": sum(spent_us.values()), "docker-proxy": proxy * 1000}
    return [
        bench_fakes.window("", done=1000, parts_us=parts, rest_us={}, services_us=spent_us)
        for _ in range(3)
    ]


@pytest.mark.parametrize(
    ("arm", "windows", "astray"),
    [
        ("net product", entered(200), ""),
        ("net product", entered(200, 100), "api-gateway"),
        ("net edge", entered(200, 100, 50), ""),
        ("net edge", entered(200, 100), "nginx-lb"),
        ("docker published edge", entered(200, 100, 50, 60), ""),
        ("docker published edge", entered(200, 100, 50), "docker-proxy"),
        ("docker DNAT edge", entered(200, 100, 50, 60), "docker-proxy"),
    ],
)
def test_an_entry_point_is_proved_by_those_that_spend(
    arm: str, windows: list[Window], astray: str
) -> None:
    assert stack.strays(arm, windows, "docker-proxy").partition(" ")[0] == astray
