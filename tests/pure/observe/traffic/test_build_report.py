"""The report has the largest first, names for numbers, and a note for all that is missing."""

from __future__ import annotations

from pathlib import Path

from tests.support import craft
from tests.support.traffic_cases import example


def test_rows_are_ordered_by_their_bytes_and_name_an_example(tmp_path: Path):
    report = craft.report(example(tmp_path))
    assert [pair.bytes for pair in report.pairs] == sorted(
        (pair.bytes for pair in report.pairs), reverse=True
    )
    pair = craft.pair(report, "product-service", "product-service")
    assert pair.example == "product-service → product-service-2"
    assert {talker.name for talker in report.talkers} >= {"product-service-2", "outside"}


def test_sums_of_every_kind_agree(tmp_path: Path):
    report = craft.report(example(tmp_path))
    for rows in (report.pairs, report.protocols, report.moments):
        assert sum(row.packets for row in rows) == report.packets
        assert sum(row.bytes for row in rows) == report.bytes
