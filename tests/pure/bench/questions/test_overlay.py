"""The most hosts must be up in time, and nothing may be left of any."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.questions import overlay
from bench.questions.overlay import OverlayRun

RUNS = [
    OverlayRun(hosts, hosts * 0.4 + number / 10, 1.0, 2.0, 1.0, ())
    for number in range(3)
    for hosts in overlay.SIZES
]


@pytest.mark.parametrize(
    ("change", "expected"),
    [({}, True), ({"up_s": 10.1}, False), ({"left": ("br-app",)}, False)],
)
def test_every_run_of_the_most_hosts_decides(change: dict[str, object], expected: bool) -> None:
    changed = replace(RUNS[-1], **change)  # type: ignore[arg-type]
    assert overlay.reached([*RUNS, changed]) is expected


def test_a_slow_run_of_fewer_hosts_is_not_judged() -> None:
    assert overlay.reached([*RUNS, replace(RUNS[0], up_s=20.0)])


def test_the_table_has_a_row_for_each_size() -> None:
    lines = overlay.table([*RUNS, replace(RUNS[0], left=("br-app", "ve-x"))]).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:6]] == ["2", "4", "8", "16"]
    assert lines[2].split()[-1] == "2"
    assert lines[5].split()[-1] == "nothing"
