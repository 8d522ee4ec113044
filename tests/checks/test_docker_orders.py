"""Orders under fire in the Docker world: the same load, faults and judge as in namespaces."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.docker_steps import up
from tests.support.docker_steps import world as small_world
from tests.support.orders_inside import judged, under_fire

pytestmark = [pytest.mark.docker, pytest.mark.timeout(0)]


@pytest.mark.long  # CI has a minute for one world: that of namespaces
def test_orders_under_fire_are_neither_lost_nor_doubled(
    images: None, orders: tuple[int, int, int], full: bool, tell: Callable[[str], None]
) -> None:
    flat = small_world("flat", lambda _written: None)
    up(flat)
    report = under_fire(flat, *orders, shrinking=full)
    tell(json.dumps({key: value for key, value in report.items() if key != "shown"}))
    judged(report, alone=True)
