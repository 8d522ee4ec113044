"""`why` names the planted cause in either shape of the Docker world."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from itertools import chain

import pytest

from tests.support import why_cases
from tests.support.docker_steps import ENGINE, up
from tests.support.docker_steps import world as small_world
from tests.support.why_ground import Ground

pytestmark = pytest.mark.docker
SAMPLE = 4
WITHIN_S = 3.0
Tell = Callable[[str], None]


def in_host(command: str) -> None:
    subprocess.run([*ENGINE.prefix, "sh", "-c", command], check=True, capture_output=True)


def test_every_planted_cause_is_named_first(images: None, full: bool, tell: Tell) -> None:
    for shape in ("flat", "tiered") if full else ("flat",):
        made = small_world(shape, lambda _written: None)
        up(made)
        ground = Ground(made, in_host)
        more = why_cases.planted_flat(ground) if shape == "flat" else iter(())
        every = list(chain(more, why_cases.planted(ground)))
        step = 1 if full else len(every) // SAMPLE
        results = list(why_cases.tried(ground, iter(every[::step])))
        wrong = [result for result in results if not result["right"]]
        slowest = max(float(str(result["took_s"])) for result in results)
        right = len(results) - len(wrong)
        tell(f"{shape}: {right} of {len(results)} named, slowest {slowest} s")
        assert [f"{each['case']}: {each['found']} at {each['stops']}" for each in wrong] == []
        assert slowest < WITHIN_S or not full
