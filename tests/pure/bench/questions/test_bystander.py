"""Each state of a bystander's host adds to the one before it, and is proven by what is counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bench.engine import result
from bench.engine.arm import RATE, Quantity
from bench.questions import bystander
from bench.questions.bystander import CONTRASTS, OWN, PROOFS, STATES, WORK, notes, unproven
from tests.support.bench_fakes import measured, window

LEVELS = range(len(STATES))


def seen_at(level: int) -> Counter[str]:
    seen = {name: int(level >= since) for name, since in PROOFS.items()}
    return Counter({"python": 1, **seen})


def test_every_state_is_compared_with_absent_and_the_whole_of_docker_first() -> None:
    assert CONTRASTS[0].first == STATES[-1]
    assert {contrast.first for contrast in CONTRASTS} == set(STATES[1:])
    assert {contrast.second for contrast in CONTRASTS} == {"absent"}


def test_every_state_but_absent_adds_a_proof_of_its_own() -> None:
    assert list(dict.fromkeys(PROOFS.values())) == list(LEVELS[1:])


@pytest.mark.parametrize("level", LEVELS)
def test_a_state_has_all_proofs_up_to_its_own_and_none_beyond(level: int) -> None:
    assert unproven(level, seen_at(level)) == ""
    for name, since in PROOFS.items():
        wrong = int(level < since)
        assert unproven(level, {**seen_at(level), name: wrong}) == f"{name} {wrong}"


def test_the_result_fits_80_columns_and_says_what_each_state_spends_at_rest() -> None:
    figures = {"work": 0.8, "wall": 0.81}
    rest = {state: {"dockerd": 1e4 * level} for level, state in enumerate(STATES)}
    windows = tuple(
        window(state, deployment, deployment, rest_us=rest[state], figures=figures)
        for deployment in (1, 2, 3)
        for state in reversed(STATES)
    )
    fields: dict[str, Any] = {"windows": windows, "quantities": (OWN, RATE, WORK)}
    ended = measured({}, CONTRASTS, **fields)
    told = notes(ended.arms, {STATES[level]: seen_at(level) for level in LEVELS}, 9)
    text = result.text(ended, told)
    assert max(map(len, text.splitlines())) <= 80
    rests = next(line for line in told[0].splitlines() if line.startswith("rest"))
    assert rests.split()[2:] == ["0", "5", "10", "15", "20", "25"]  # of windows of 2 s
    assert "ran in the host when absent: python 1 (this task)." in " ".join(told[1].split())


def test_the_fixed_work_is_a_figure_of_each_window() -> None:
    of: Quantity = bystander.WORK
    assert of.of(window("absent", figures={"work": 0.5})) == 0.5


def test_what_the_engine_spends_meanwhile_is_not_the_bystanders_own() -> None:
    parts = {"programs": 200_000.0, "client": 60_000.0, "dockerd": 90_000.0, "left over": 9_000.0}
    assert OWN.of(window("probes", parts_us=parts, done=1_000)) == pytest.approx(260)
