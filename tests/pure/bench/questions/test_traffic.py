"""The judgement of two readers says what their runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.questions import traffic
from bench.questions.traffic import OURS, TSHARK, ReadRun, ReadSpeed
from bench.questions.traffic_file import PcapFile
from tests.support.bench_fakes import FakeStack, quiet
from twinstack.errors import TwinstackError


def compared(ours_s: list[float], peak: int = 100, *, full: bool = True) -> ReadSpeed:
    runs = [ReadRun(name, 100, 1.0, 1.0, 100, -1) for name in (OURS, TSHARK)]
    for number, seconds in enumerate(ours_s):
        runs.append(ReadRun(OURS, 300, seconds, seconds, peak, number))
        runs.append(ReadRun(TSHARK, 300, 8.0 + number / 10, 8.0, 900, number))
    file = PcapFile(Path("a"), 10, 300_000_000, 1)
    return traffic.summarise(file, runs, 1, full=full)


@pytest.mark.parametrize(
    ("ours_s", "peak", "code", "line"),
    [
        (
            [4.0] * 6,
            100,
            0,
            "At least as fast: holds. Memory level over three times the file: yes.",
        ),
        ([16.0] * 6, 100, 1, "At least as fast: fails."),
        ([4.0, 16.0] * 3, 100, 2, "At least as fast: cannot tell."),
        ([4.0] * 6, 120, 1, "Memory level over three times the file: NO."),
    ],
)
def test_the_verdict_is_what_was_measured(ours_s: list[float], peak: int, code: int, line: str):
    speed = compared(ours_s, peak)
    assert speed.code == code
    assert line in " ".join(traffic.text(speed).split())


def test_memory_is_not_judged_before_the_tables_are_full():
    speed = compared([4.0] * 6, 120, full=False)
    assert speed.code == 0
    assert "not judged, it takes 600 MB" in " ".join(traffic.text(speed).split())


@pytest.mark.parametrize("options", [{"megabytes": 1, "rounds": 6}, {"megabytes": 30, "rounds": 2}])
def test_what_cannot_be_measured_is_refused_first(options: dict[str, int]):
    with pytest.raises(TwinstackError, match="cannot be"):
        traffic.ask(FakeStack(), progress=quiet, **options)  # type: ignore[arg-type]
