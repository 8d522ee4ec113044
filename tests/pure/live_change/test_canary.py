"""A canary is judged by whole intervals: worse, not worse, or cannot tell."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from twinstack.live_change.canary import Counters, Side, compare

WINDOWS = 30


def sides(
    *,
    cpu: float = 1.0,
    took: float = 1.0,
    failing: float = 0.0,
    noise: float = 0.03,
    requests: int = 400,
    windows: int = WINDOWS,
    seed: int = 1,
) -> tuple[list[Side], list[Side]]:
    """Give windows of canaries, with so much more of a cost, and of the others."""
    random = Random(seed)
    found: tuple[list[Side], list[Side]] = ([], [])
    for block in range(windows):
        busy = random.uniform(0.8, 1.2)  # both sides meet the same neighbours
        for side, more, longer, part in (
            (found[0], cpu, took, failing),
            (found[1], 1.0, 1.0, 0.0),
        ):
            did = Counters(
                requests,
                sum(random.random() < part for _ in range(requests)),
                requests * 900 * longer * busy * random.uniform(1 - noise, 1 + noise),
                requests * 250 * more * busy * random.uniform(1 - noise, 1 + noise),
            )
            side.append(Side(block, did))
    return found


@pytest.mark.parametrize(
    ("differs", "opinion"),
    [
        ({}, "not worse"),
        ({"cpu": 0.7, "took": 0.8}, "not worse"),
        ({"cpu": 1.3}, "worse"),
        ({"took": 1.5}, "worse"),
        ({"failing": 0.05}, "worse"),
        ({"failing": 1.0}, "worse"),
        ({"noise": 0.9}, "cannot tell"),
        ({"windows": 5}, "cannot tell"),
        ({"requests": 5}, "cannot tell"),
        ({"windows": 0}, "cannot tell"),
    ],
)
def test_only_a_whole_interval_decides(differs: dict[str, float], opinion: str) -> None:
    found = compare(*sides(**differs))  # type: ignore[arg-type]
    assert found.opinion == opinion, found.lines
    assert found.lines[0].startswith(f"canary: {opinion} (")


def test_a_failing_canary_that_its_gateways_hardly_ask_is_worse() -> None:
    canaries, others = sides(requests=3, failing=1.0)
    assert compare(canaries, others).opinion == "worse"


def test_a_canary_that_its_gateways_ejected_at_once_is_worse() -> None:
    _, others = sides()
    nothing = Counters(0, 0, 0.0, 2_000.0, ejected=True)
    ejected = [Side(block, nothing) for block in range(WINDOWS)]
    assert compare(ejected, others).opinion == "worse"
    few = [replace(window, did=nothing) if window.block < 3 else window for window in others]
    assert compare(few, others).opinion == "cannot tell"


def test_one_failure_in_thousands_is_not_told_from_none() -> None:
    canaries, others = sides()
    once = canaries[0].did
    failed = Side(0, Counters(once.requests, 1, once.busy_us, once.cpu_us))
    assert compare([failed, *canaries[1:]], others).opinion in {"not worse", "cannot tell"}


def test_two_of_one_kind_are_hardly_ever_called_worse() -> None:
    found = [compare(*sides(noise=0.1, seed=seed)).opinion for seed in range(40)]
    assert "worse" not in found


def test_a_window_that_one_side_lacks_is_left_out() -> None:
    canaries, others = sides()
    assert compare(canaries[:10], others).opinion == "not worse"
