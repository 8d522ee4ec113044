"""A table of windows loses nothing, and any program reads it."""

from __future__ import annotations

import csv
import io

import pytest

from bench.engine import samples
from tests.support.bench_fakes import window

WINDOWS = (
    window("docker, ab", 1, 1, figures={"p99_ms": 0.1 + 0.2}),
    window("namespaces", 2, 3, failed=2, parts_us={"dockerd": 1 / 3}, stolen_us=7.0),
)


def test_a_table_gives_back_the_very_windows() -> None:
    assert samples.read(samples.write(WINDOWS)) == WINDOWS


def test_a_table_has_a_row_a_window_and_a_column_a_part() -> None:
    rows = list(csv.DictReader(io.StringIO(samples.write(WINDOWS))))
    assert [row["arm"] for row in rows] == ["docker, ab", "namespaces"]
    assert [row["parts_us.dockerd"] for row in rows] == ["", str(1 / 3)]
    assert float(rows[0]["parts_us.services"]) == 330_000
    assert "rest_us.services" in rows[0]
    assert list(rows[0])[:3] == ["arm", "deployment", "block"]


def test_another_table_is_refused() -> None:
    with pytest.raises(TypeError):
        samples.read("a,b\n1,2\n")
