"""Rows hold medians, and a sentence says what its interval allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.engine.comparison import QUANTITIES, contrast, rows
from tests.support.bench_fakes import compared_samples


def test_a_row_holds_medians_and_the_success_of_all_trials() -> None:
    row = rows(compared_samples(1.0), {"namespaces": "x"})[0]
    assert (row.trials, row.rate.median, row.mean_ms, row.p99_ms) == (10, 4000.0, 12.5, 30.25)
    costs = (row.success_part, row.cpu_us_per_request, row.host_us_per_request)
    assert costs == (1.0, 400.0, 450.0)
    assert row.work_us_per_request == 396.0
    assert row.transfer_bytes_per_s == pytest.approx(12_800_000)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (1.1, "Namespaces answered 10.0 % more requests per second than docker"),
        (0.9, "Namespaces answered 10.0 % fewer requests per second than docker"),
        (1.0, "No measurable difference in requests per second between namespaces and docker"),
    ],
)
def test_a_sentence_says_which_is_faster_or_that_it_cannot_be_seen(
    factor: float, expected: str
) -> None:
    sentence = contrast(compared_samples(factor), "rate", "namespaces", "docker", seed=1).sentence
    assert sentence.startswith(expected)
    assert "(95 % interval " in sentence


def test_the_interval_of_a_slower_world_runs_from_small_to_large() -> None:
    sentence = contrast(compared_samples(0.9), "rate", "namespaces", "docker", seed=1).sentence
    low, high = (float(end.split()[0]) for end in sentence.split("interval ")[1].split(" to "))
    assert low < 10.0 < high


def test_the_sentence_on_cpu_time_is_of_cpu_time() -> None:
    more = tuple(
        replace(sample, cpu_us=440_000) if sample.target == "docker" else sample
        for sample in compared_samples(1.0)
    )
    assert contrast(more, "cpu", "docker", "namespaces", seed=1).sentence.startswith(
        "Docker spent 10.0 % more CPU time per request in its services than namespaces"
    )


def test_too_few_rounds_are_said_to_be_too_few() -> None:
    few = contrast(compared_samples(1.1)[:6], "rate", "namespaces", "docker", seed=1)
    assert few.ratio is None
    assert "3 rounds are too few" in few.sentence


def test_a_round_without_success_has_no_ratio() -> None:
    first, *rest = compared_samples(1.0)
    broken = (replace(first, rate=0.0), *rest)
    contrasted = contrast(broken, "rate", "namespaces", "docker", seed=1)
    assert contrasted.ratio is None
    assert contrasted.sentence.startswith("Cannot tell")


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity_has_its_sentence(quantity: str) -> None:
    measured = tuple(
        replace(sample, cpu_us=8_000, host_us=1, rate=1.0) if sample.target == "docker" else sample
        for sample in compared_samples(1.0)
    )
    sentence = contrast(measured, quantity, "namespaces", "docker", seed=1).sentence
    assert " % " in sentence
    assert "{" not in sentence
