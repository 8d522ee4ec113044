"""What the policies cost is estimated from paired rounds, and the worse end decides."""

from __future__ import annotations

from typing import Any

import pytest

from bench.engine.trials import Trial
from bench.questions import policy
from bench.questions.policy import OFF, ON, summarise, table
from tests.support.bench_fakes import quiet, sampled
from twinstack.errors import StepFailed


def samples(slower: float) -> list[Trial]:
    trials = []
    for number in range(8):
        rate, cpu_us, host_us = 100.0 + number, 5_000_000, 9_000_000
        off = sampled(number, rate, cpu_us=cpu_us, host_us=host_us)
        costs = {"cpu_us": round(cpu_us * slower), "host_us": round(host_us * slower)}
        on = sampled(number, rate / slower, **costs)
        trials += [Trial(what=OFF, **off), Trial(what=ON, **on)]
    return trials


def test_a_small_cost_holds_and_a_large_one_fails():
    small, large = summarise(samples(1.02), seed=1), summarise(samples(1.2), seed=1)
    assert abs(small.rates.estimate - 1.02) < 1e-9
    assert abs(small.cpu.estimate - 1.02) < 1e-3
    assert "below 5% more: holds" in small.sentence
    assert "below 5% more: fails" in large.sentence


def test_the_order_of_samples_does_not_matter():
    trials = samples(1.1)
    assert summarise(trials, seed=1).rates == summarise(trials[::-1], seed=1).rates


def test_the_table_fits_80_columns():
    assert max(map(len, table(summarise(samples(1.02), seed=1)).splitlines())) <= 80


def test_the_policy_is_enforced_again_after_a_failure(
    stack: Any, noted: Any, failure: StepFailed
) -> None:
    noted(policy, "edge_trial", failure)
    with pytest.raises(StepFailed):
        policy.ask(stack, world="net", rounds=6, progress=quiet)
    assert stack.policies == [("net", True, False), ("net", True, True)]
