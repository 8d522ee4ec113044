"""Orders under fire in the Docker world: the same load, faults and judge as in namespaces."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.support.docker_steps import ENGINE, up
from tests.support.docker_steps import world as small_world
from tests.support.orders_inside import under_fire
from tests.support.own_engine import end_engine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(0)]


@pytest.fixture(scope="module", autouse=True)
def volumes_in_memory(docker_host: object) -> Iterator[None]:
    """Keep what stores write in memory, as the namespace world's test does.

    Disks of virtual machines stall, and every COMMIT with them: no fault of a world.
    """
    volumes = ENGINE.data_root / "volumes"
    end_engine(ENGINE)
    volumes.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", volumes], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", volumes], check=True)
        end_engine(ENGINE)


@pytest.mark.long  # its sample takes a minute, and needs a world of its own
def test_orders_under_fire_are_neither_lost_nor_doubled(
    images: None, orders: tuple[int, int, int], full: bool, tell: Callable[[str], None]
) -> None:
    flat = small_world("flat", lambda _written: None)
    up(flat)
    report = under_fire(flat, *orders, shrinking=full)
    tell(json.dumps({key: value for key, value in report.items() if key != "shown"}))
    assert report["passed"], report
