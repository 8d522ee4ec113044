"""Each drill holds what it promises in the Docker world."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.docker_steps import up
from tests.support.drill_docker import each_tried, whole
from twinstack.drill.catalogue import DRILLS

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.timeout(0)]
Tell = Callable[[str], None]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_every_drill_is_seen_repaired_refused_and_taken_out(
    images: None, tell: Tell, shape: str
) -> None:
    drills = [each for each in DRILLS if "docker" in each.worlds and shape in each.shapes]
    docker = whole(shape)
    up(docker)
    failures = each_tried(docker, drills)
    docker.down(progress=lambda _line: None)
    tell(f"{shape}: {len(drills)} drills tried, {len(failures)} failures")
    assert failures == []
