"""What the policies cost is told from paired rounds, and the worst end decides."""

from __future__ import annotations

from bench.questions.policy import OFF, ON, CostSample, summarise, table


def samples(slower: float) -> list[CostSample]:
    found = []
    for number in range(8):
        rate = 100.0 + number
        found.append(CostSample(number, OFF, 1000, 1000, rate, 90.0, 5_000_000, 9_000_000))
        found.append(
            CostSample(
                number,
                ON,
                1000,
                1000,
                rate / slower,
                90.0,
                round(5_000_000 * slower),
                round(9_000_000 * slower),
            )
        )
    return found


def test_a_small_cost_holds_and_a_large_one_fails():
    small, large = summarise(samples(1.02), seed=1), summarise(samples(1.2), seed=1)
    assert abs(small.rates.estimate - 1.02) < 1e-9
    assert abs(small.cpu.estimate - 1.02) < 1e-3
    assert "below 5% more: holds" in small.sentence
    assert "below 5% more: fails" in large.sentence


def test_the_order_of_samples_says_nothing():
    found = samples(1.1)
    assert summarise(found, seed=1).rates == summarise(found[::-1], seed=1).rates


def test_the_table_fits_80_columns():
    assert max(map(len, table(summarise(samples(1.02), seed=1)).splitlines())) <= 80
