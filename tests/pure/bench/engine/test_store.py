"""An outcome is kept with its machine, under its time and name."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.engine import store
from bench.engine.arm import Contrast
from bench.engine.result import outcome_of
from bench.engine.store import Outcome
from bench.questions.startup import Startup
from tests.support.bench_fakes import PLAN, measured, window

START = Startup("net", (3.0,), (1.0,), {"nginx-lb": 1 << 20})
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OUTCOME = Outcome("startup", PLAN, (START,), START.sentence, started=WHEN)


def test_an_outcome_is_kept_with_its_machine(tmp_path: Path) -> None:
    document = store.described(OUTCOME)
    page = store.keep(OUTCOME, document, tmp_path)
    assert page == tmp_path / "20260102T030405Z-startup.md"
    kept = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(document))
    assert kept["result"][0]["pss"] == {"nginx-lb": 1 << 20}
    machine = "kernel cpu cores mitigations ab limits revision"
    assert set(machine.split()) <= set(kept["environment"])
    assert "healthy after 3.0 s" in page.read_text(encoding="utf-8")


def test_a_document_has_its_stable_keys() -> None:
    document = store.document(replace(OUTCOME, result=START), {"kernel": "6.1"})
    keys = "format name started forced environment not_alike said result"
    assert list(document) == keys.split()
    assert (document["forced"], document["not_alike"]) == (False, ())


def test_a_forced_outcome_is_kept_as_such() -> None:
    document = store.document(replace(OUTCOME, not_alike=("CPU limit: 1, 2",)), {})
    assert (document["forced"], document["not_alike"]) == (True, ("CPU limit: 1, 2",))


def test_an_outcome_may_have_fields_of_its_own() -> None:
    document = store.document(replace(OUTCOME, fields={"rows": [], "forced": True}), {})
    assert (document["rows"], document["forced"]) == ([], True)
    assert "said" not in document


def test_a_figure_that_is_no_number_is_kept_as_null(tmp_path: Path) -> None:
    broken = replace(OUTCOME, result=replace(START, up_s=(float("nan"),)))
    document = store.described(broken)
    page = store.keep(broken, document, tmp_path)
    text = page.with_suffix(".json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["result"]["up_s"] == [None]


def test_windows_are_kept_as_a_table_that_the_document_names(tmp_path: Path) -> None:
    arms = {"namespaces": 4_000, "docker": 3_800}
    ended = measured(arms, [Contrast("docker", "namespaces")])
    whole = store.described(outcome_of(ended, "compare", PLAN))
    page = store.keep(outcome_of(ended, "compare", PLAN), whole, tmp_path)
    kept = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    table = tmp_path / kept["samples"]["file"]
    assert table.read_text(encoding="utf-8") == store.table(ended.windows)
    assert kept["samples"]["rows"] == len(ended.windows)
    assert "windows" not in kept
    assert "windows" in whole  # --json prints one document with everything
    assert page.with_suffix(".html").read_text(encoding="utf-8").count("<svg ") == 4


def test_a_result_that_cannot_be_written_whole_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    write = Path.write_text

    def full(file: Path, text: str, **words: str) -> int:
        written.append(file)
        write(file, text[:10], encoding="utf-8")
        if file.suffix == ".md":
            raise OSError(28, "No space left on device", str(file))
        return 10

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        store.keep(OUTCOME, store.described(OUTCOME), tmp_path)
    assert len(written) > 1
    assert list(tmp_path.iterdir()) == []


def test_the_table_has_a_row_a_window_and_a_column_a_part_and_loses_no_digit() -> None:
    windows = (
        window("docker, ab", 1, 1, figures={"p99_ms": 0.1 + 0.2}),
        window("namespaces", 2, 3, failed=2, parts_us={"dockerd": 1 / 3}, stolen_us=7.0),
    )
    rows = list(csv.DictReader(io.StringIO(store.table(windows))))
    assert [row["arm"] for row in rows] == ["docker, ab", "namespaces"]
    assert [row["parts_us.dockerd"] for row in rows] == ["", str(1 / 3)]
    assert [row["figures.p99_ms"] for row in rows] == [str(0.1 + 0.2), ""]
    assert float(rows[0]["parts_us.services"]) == 330_000
    assert "rest_us.services" in rows[0]
    assert list(rows[0])[:3] == ["arm", "deployment", "block"]
