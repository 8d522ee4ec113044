"""The rates that a dashboard shows are judged by those that were sent."""

from __future__ import annotations

import pytest

from bench.questions.dashboard import agreement


@pytest.mark.parametrize(
    ("found", "agrees"),
    [
        (agreement(4_000.0, 4_120.0, 40_000, 40_000), True),
        (agreement(4_000.0, 4_201.0, 40_000, 40_000), False),
        (agreement(4_000.0, 3_799.0, 40_000, 40_000), False),
        (agreement(4_000.0, 4_000.0, 40_000, 39_999), False),
        # The engine's own probes may have come between.
        (agreement(4_000.0, 4_000.0, 40_000, 40_016, probes=16), True),
        (agreement(4_000.0, 4_000.0, 40_000, 40_017, probes=16), False),
    ],
)
def test_a_rate_too_far_off_or_a_request_not_counted_fails(
    found: tuple[str, bool], agrees: bool
) -> None:
    assert found[1] == agrees


def test_the_sentence_says_what_was_sent_shown_and_counted() -> None:
    said, _ = agreement(4_000.0, 4_120.0, 40_000, 40_016, probes=16)
    assert "sent 4,000.0 req/s, the dashboard showed 4,120.0 (+3.0%)" in said
    assert said.endswith("counted 40,016 of 40,000, with at most 16 probes of the engine's.")
