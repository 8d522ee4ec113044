"""The file to measure with is a sound capture, and the judgement says what the runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.questions import traffic, traffic_file
from bench.questions.catalogue import Answer
from tests.support import craft
from tests.support.bench_fakes import PLAN
from twinstack.errors import TwinstackError


def test_the_file_is_whole_and_holds_declared_flows_only(tmp_path: Path):
    written = traffic_file.write(tmp_path / "a.pcap", PLAN, 300_000, seed=1)
    assert (tmp_path / "a.pcap").stat().st_size == written.bytes + 24
    found = craft.report(written.path)
    assert craft.tshark_counts(written.path)[0] == found.packets == written.packets
    assert sum(pair.connections for pair in found.pairs) == written.connections
    assert {pair.verdict for pair in found.pairs} == {"declared"}
    assert sum(pair.resent for pair in found.pairs) == 0
    odd = "tcp.analysis.flags && !tcp.analysis.reused_ports"
    assert craft.tshark_matching(written.path, odd) == 0
    assert sum(http.count for http in found.http if http.status == 200) == 2 * written.connections


def judged(ours_s: list[float], peak: int = 100, *, full: bool = True) -> Answer:
    runs = [traffic.Run(name, 100, 1.0, 1.0, 100) for name in (traffic.OURS, traffic.TSHARK)]
    for number, seconds in enumerate(ours_s):
        runs.append(traffic.Run(traffic.OURS, 300, seconds, seconds, peak))
        runs.append(traffic.Run(traffic.TSHARK, 300, 8.0 + number / 10, 8.0, 900))
    written = traffic_file.Written(Path("a"), 10, 300_000_000, 1)
    found = traffic._judged(written, runs, 1, full=full)
    return Answer("traffic", PLAN, found, traffic.text(found))


@pytest.mark.parametrize(
    ("ours_s", "peak", "code", "said"),
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
def test_the_answer_is_what_was_measured(ours_s: list[float], peak: int, code: int, said: str):
    answer = judged(ours_s, peak)
    assert traffic.code(answer) == code
    assert said in answer.text


def test_memory_is_not_judged_before_the_tables_are_full():
    answer = judged([4.0] * 6, 120, full=False)
    assert traffic.code(answer) == 0
    assert "not judged, it takes 600 MB" in answer.text


@pytest.mark.parametrize("words", [{"megabytes": 1, "rounds": 6}, {"megabytes": 30, "rounds": 2}])
def test_what_cannot_be_measured_is_refused_first(words: dict[str, int]):
    with pytest.raises(TwinstackError, match="cannot be"):
        traffic.ask_traffic(PLAN, progress=print, **words)
