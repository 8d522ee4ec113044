"""The order of a race is drawn, and every contender has its rounds."""

from __future__ import annotations

import itertools

from bench.questions.provisioning.contenders import FLOOR, MININET, OURS, SHELL
from bench.questions.provisioning.race import RaceSettings

SETTINGS = RaceSettings("t", (8, 100, 1000), rounds=10, slow_rounds=6, shell_rounds=3, seed=1)
NAMES = (OURS, FLOOR, SHELL, MININET)


def test_every_round_has_ours_and_the_floor_beside_each_other_and_the_slow_ones_their_number():
    rounds = list(SETTINGS.order(NAMES))

    runs = [run for order in rounds for run in order]
    assert all(runs.count((name, size)) == 10 for name in NAMES[:2] for size in SETTINGS.sizes)
    assert [runs.count((SHELL, size)) for size in SETTINGS.sizes] == [6, 6, 3]
    assert [runs.count((MININET, size)) for size in SETTINGS.sizes] == [6, 6, 0]
    for order in rounds:
        sizes = [size for _, size in order]
        assert sum(a != b for a, b in itertools.pairwise(sizes)) == 2


def test_the_order_differs_from_round_to_round_and_is_the_seeds():
    rounds = list(SETTINGS.order(NAMES))

    assert list(SETTINGS.order(NAMES)) == rounds
    assert len(set(map(tuple, rounds))) > 3
