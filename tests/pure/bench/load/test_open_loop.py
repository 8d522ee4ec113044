"""An open loop's moments come from its seed alone, and its latencies are kept for other readers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hdrh.histogram import HdrHistogram

from bench.load.open_loop import WARM_UP_S, OpenLoad, OpenReport, encoded
from twinstack.errors import TwinstackError


def test_constant_arrivals_are_evenly_spaced_and_begin_with_a_warm_up() -> None:
    moments = OpenLoad(100, 2, arrivals="constant").moments()
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert -WARM_UP_S <= moments[0] < -WARM_UP_S + 0.01
    assert sum(moment >= 0 for moment in moments) == 200
    assert pytest.approx(gaps) == [0.01] * len(gaps)


def test_poisson_arrivals_are_as_irregular_as_chance_and_repeat_with_their_seed() -> None:
    moments = OpenLoad(1_000, 20, seed=7).moments()
    assert moments == OpenLoad(1_000, 20, seed=7).moments()
    assert moments != OpenLoad(1_000, 20, seed=8).moments()
    counts = [sum(second <= moment < second + 1 for moment in moments) for second in range(20)]
    mean = sum(counts) / 20
    assert mean == pytest.approx(1_000, rel=0.05)
    assert 300 < sum((count - mean) ** 2 for count in counts) / 19 < 2_500  # of Poisson: 1,000


@pytest.mark.parametrize(
    "words",
    [{"rate": 0}, {"seconds": 601}, {"rate": 100_000, "seconds": 11}, {"connections": 901}],
)
def test_a_load_beyond_its_bounds_is_refused(words: dict[str, float]) -> None:
    with pytest.raises(TwinstackError, match="cannot be"):
        OpenLoad(**{"rate": 100, "seconds": 1, **words})  # type: ignore[arg-type]


def test_latencies_are_read_back_by_any_reader_of_hdr_histograms() -> None:
    latencies = [*range(100, 10_100), 0, 90_000_000]  # the ends of its range hold what is beyond
    histogram = HdrHistogram.decode(encoded(latencies))
    assert histogram.get_total_count() == len(latencies)
    assert histogram.get_value_at_percentile(50) == pytest.approx(5_100, rel=0.001)
    assert histogram.get_value_at_percentile(99) == pytest.approx(10_000, rel=0.001)
    assert histogram.get_max_value() == pytest.approx(60_000_000, rel=0.001)


def test_a_request_that_failed_has_no_latency() -> None:
    report = OpenReport((5, -1, 6, -1), (0, 0, 0), 1, 0, 1, 20.0)
    assert (report.answered_us, report.failed) == ([5, 6], 2)
