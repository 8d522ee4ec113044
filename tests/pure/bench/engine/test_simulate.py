"""The designs hold on the noise that was measured: coverage, and what breaks it."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from bench.engine.design import Design
from tests.support.simulate import DESIGNS, TO_THE_END, Drift, Noise, SimulatedDesign, cell, run

#: Short designs, so that many runs take a second.
SHORT = SimulatedDesign(Design(minutes=2.5, blocks=2, narrow=TO_THE_END))


def test_run_is_the_same_for_the_same_seed() -> None:
    assert run(random.Random(4), SHORT, Noise()) == run(random.Random(4), SHORT, Noise())


@pytest.mark.parametrize("deployment_sd", [0.0, 0.02])
def test_intervals_over_deployments_cover_whatever_lasts_in_one(deployment_sd: float) -> None:
    found = cell(SHORT, Noise(deployment_sd=deployment_sd), runs=300)
    assert 0.92 <= found["CPU covered"] <= 0.98
    assert 0.92 <= found["rate covered"] <= 0.98
    assert found["false alarm"] <= 0.08


def test_interval_of_one_deployment_misses_what_lasts_in_it() -> None:
    alone = SimulatedDesign(Design(minutes=2, blocks=4, narrow=TO_THE_END), redeploys=False)
    assert run(random.Random(1), alone, Noise()).cpu.deployments == 1
    assert cell(alone, Noise(deployment_sd=0.0), runs=200)["CPU covered"] >= 0.92
    assert cell(alone, Noise(deployment_sd=0.02), runs=200)["CPU covered"] <= 0.85


def test_stopping_when_narrow_saves_time_and_keeps_the_coverage() -> None:
    calm = Noise().scaled(0.7)
    found = cell(SimulatedDesign(), calm, runs=200)
    assert found["seconds"] < 255
    assert found["precise"] >= 0.8
    assert found["CPU covered"] >= 0.92


def test_run_without_stopping_uses_its_budget() -> None:
    found = run(random.Random(1), DESIGNS["default"], Noise())
    assert found.seconds == pytest.approx(12 * (6 + 2 * 4 * 2.3))
    assert found.cpu.deployments == 12
    assert found.cpu.pairs == 24


def test_a_large_effect_is_found_and_a_small_one_often_not() -> None:
    found = cell(DESIGNS["default"], Noise(), runs=60)
    power = [part for name, part in found.items() if name.startswith("finds")]
    assert power[-1] >= 0.95
    assert power[0] <= 0.4
    assert power == sorted(power)


def test_a_base_measured_twice_costs_little_width() -> None:
    plain = cell(DESIGNS["default"], Noise(), runs=200)
    pooled = cell(DESIGNS["A/A beside, pooled"], Noise(), runs=200)
    # In the same time a third arm leaves each two thirds of the windows.
    assert pooled["CPU half-width"] / plain["CPU half-width"] == pytest.approx(1.5**0.5, abs=0.1)


def test_drift_has_its_spread_and_is_a_third_of_itself_after_its_time_constant() -> None:
    noise = Noise()
    drift = Drift(random.Random(8), noise)
    seen = []
    for _ in range(6_000):
        drift.pass_time(noise.drift_s)
        seen.append(drift.log_rate)
    assert statistics.pstdev(seen) == pytest.approx(noise.drift_sd, rel=0.05)
    assert statistics.correlation(seen[:-1], seen[1:]) == pytest.approx(math.exp(-1), abs=0.05)


def test_windows_are_as_noisy_as_those_they_were_fitted_to() -> None:
    """A block's log-ratio has 4.1 % of white noise left, and 1.7 % of drift."""
    calm = Noise(stall_chance=0)
    rng = random.Random(3)
    design = SimulatedDesign(Design(blocks=1, narrow=TO_THE_END))
    found = [run(rng, design, calm).rate for _ in range(60)]
    width = statistics.fmean(one.half_width for one in found)
    expected = 2.1 * 0.0443 / found[0].deployments ** 0.5
    assert width == pytest.approx(expected, rel=0.1)
