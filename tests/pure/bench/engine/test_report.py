"""A comparison is told truly: rows, sentences, the width of a terminal, stable keys."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.engine import comparison, report
from bench.engine.comparability import Difference, Likeness
from bench.engine.comparison import contrast, rows
from bench.engine.report import Comparison
from bench.engine.trials import Load, Rest, Sample
from bench.questions import compare
from bench.questions.startup import Startup
from tests.support.bench_fakes import PLAN

BASE = Sample(
    round=1,
    place=0,
    target="namespaces",
    complete=1000,
    success=1000,
    non_2xx=0,
    lost=0,
    seconds=0.25,
    rate=4000.0,
    mean_ms=12.5,
    p50_ms=12.0,
    p95_ms=20.0,
    p99_ms=30.25,
    transferred_bytes=3_200_000,
    cpu_us=400_000,
    rest_us=4_000,
    host_us=450_000,
    client_us=30_000,
    stolen_us=0,
    others_cpu_us=1_000,
    window_s=0.3,
    load=0.5,
)
NOISE = (0.0, 0.01, -0.01, 0.005, -0.005, 0.002, -0.002, 0.008, -0.008, 0.0)


def samples(factor: float, noise: tuple[float, ...] = NOISE) -> tuple[Sample, ...]:
    found = []
    for number, one in enumerate(noise, start=1):
        found.append(replace(BASE, round=number, rate=4000 * factor * (1 + one)))
        found.append(replace(BASE, round=number, target="docker"))
    return tuple(found)


def found(measured: tuple[Sample, ...], name: str = "compare") -> Comparison:
    entries = {"namespaces": "10.0.0.10:80", "docker": "172.30.0.10:80"}
    return Comparison(
        name=name,
        started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        load=Load(),
        rounds=len(measured) // 2,
        seed=7,
        environment={"kernel": "6.1", "cpu": "a CPU", "cores": 2},
        likeness=Likeness(
            "net", "docker", (Difference("seccomp of every replica", "none", "filter", "stated"),)
        ),
        forced=False,
        rest=Rest({"net": 3_000.0, "docker": 12_000.0}, 20_000.0),
        samples=measured,
        rows=rows(measured, entries),
        contrasts=tuple(
            contrast(measured, one, "namespaces", "docker", seed=7)
            for one in ("rate", "cpu", "work", "host")
        ),
    )


def test_row_holds_medians_and_the_success_of_all_trials() -> None:
    row = rows(samples(1.0), {"namespaces": "x"})[0]
    assert (row.trials, row.rate.median, row.mean_ms, row.p99_ms) == (10, 4000.0, 12.5, 30.25)
    assert (
        row.success_part,
        row.cpu_us_per_request,
        row.host_us_per_request,
    ) == (1.0, 400.0, 450.0)
    assert row.transfer_bytes_per_s == pytest.approx(12_800_000)


def test_one_failure_in_a_thousand_is_not_rounded_away() -> None:
    failing = (replace(samples(1.0)[0], success=999, lost=1), *samples(1.0)[1:])
    assert "99.99%" in report.table(rows(failing, {"namespaces": "x"}))
    assert "FAILED" in report.text(found(failing))


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (1.1, "Namespaces answered 10.0 % more requests per second than docker"),
        (0.9, "Namespaces answered 10.0 % fewer requests per second than docker"),
        (1.0, "No measurable difference in requests per second between namespaces and docker"),
    ],
)
def test_sentence_says_which_is_faster_or_that_it_cannot_be_seen(
    factor: float, expected: str
) -> None:
    said = contrast(samples(factor), "rate", "namespaces", "docker", seed=1).sentence
    assert said.startswith(expected)
    assert "(95 % interval " in said


def test_interval_of_a_slower_world_is_said_from_small_to_large() -> None:
    said = contrast(samples(0.9), "rate", "namespaces", "docker", seed=1).sentence
    low, high = (float(one.split()[0]) for one in said.split("interval ")[1].split(" to "))
    assert low < 10.0 < high


def test_cpu_sentence_is_of_cpu_time() -> None:
    more = tuple(
        replace(one, cpu_us=440_000) if one.target == "docker" else one for one in samples(1.0)
    )
    said = contrast(more, "cpu", "docker", "namespaces", seed=1).sentence
    assert said.startswith(
        "Docker spent 10.0 % more CPU time per request in its services than namespaces"
    )


def test_too_few_rounds_are_said_to_be_too_few() -> None:
    one = contrast(samples(1.1)[:6], "rate", "namespaces", "docker", seed=1)
    assert one.ratio is None
    assert "3 rounds are too few" in one.sentence


def test_round_without_success_has_no_ratio() -> None:
    broken = (replace(samples(1.0)[0], rate=0.0), *samples(1.0)[1:])
    one = contrast(broken, "rate", "namespaces", "docker", seed=1)
    assert one.ratio is None
    assert one.sentence.startswith("Cannot tell")


@pytest.mark.parametrize("factor", [0.01, 1.0, 20.0])
def test_report_fits_eighty_columns(factor: float) -> None:
    lines = report.text(found(samples(factor))).splitlines()
    assert max(map(len, lines)) <= 80


def test_report_states_what_is_not_alike() -> None:
    assert "- seccomp of every replica: net none, docker filter" in report.text(found(samples(1.0)))


def test_document_has_its_stable_keys_and_is_json() -> None:
    document = json.loads(json.dumps(report.document(found(samples(1.1)))))
    assert {
        "schema",
        "name",
        "started",
        "load",
        "rounds",
        "seed",
        "forced",
        "environment",
        "not_alike",
        "alike_but_for",
        "rest",
        "rows",
        "contrasts",
        "succeeded",
        "samples",
    } == set(document)
    assert {
        "quantity",
        "first",
        "second",
        "ratio",
        "low",
        "high",
        "level",
        "verdict",
        "sentence",
    } == (set(document["contrasts"][0]))
    assert len(document["samples"]) == 20


def test_result_is_kept_under_its_time_and_name(tmp_path: Path) -> None:
    one = found(samples(1.1))
    page = report.save(one.name, one.started, report.document(one), report.markdown(one), tmp_path)
    assert page == tmp_path / "20260102T030405Z-compare.md"
    assert page.with_suffix(".json").is_file()
    assert "kernel 6.1" in page.read_text(encoding="utf-8")


def test_a_busy_machine_is_told_and_a_quiet_one_is_not() -> None:
    one = found(samples(1.0))
    assert "BUSY" not in report.text(one)
    busy = replace(one, rest=Rest({"net": 3_000.0, "docker": 12_000.0}, 900_000.0))
    assert "44% of its CPU time went to neither world" in " ".join(report.text(busy).split())


def test_a_world_that_somebody_else_uses_is_told() -> None:
    assert "the other spent 3.3 ms of CPU a second: idle." in report.text(found(samples(1.0)))
    used = tuple(replace(one, others_cpu_us=90_000) for one in samples(1.0))
    assert "NOT idle" in report.text(found(used))


def test_result_of_another_question_is_kept_with_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report.save, "__defaults__", (tmp_path,))
    result = Startup("net", (3.0,), (1.0,), {"nginx-lb": 1 << 20})
    started = datetime(2026, 1, 2, tzinfo=UTC)
    document, page = compare.keep("startup", started, PLAN, [result], result.sentence)
    kept = json.loads(Path(page).with_suffix(".json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(document))
    assert (kept["forced"], kept["not_alike"]) == (False, [])
    assert kept["result"][0]["pss"] == {"nginx-lb": 1 << 20}
    assert {"kernel", "cpu", "cores", "mitigations", "ab", "limits", "revision"} <= set(
        kept["environment"]
    )
    assert "healthy after 3.0 s" in Path(page).read_text(encoding="utf-8")


def test_result_that_was_forced_is_kept_as_such() -> None:
    result = Startup("net", (3.0,), (1.0,), {"nginx-lb": 1 << 20})
    when = datetime(2026, 1, 2, tzinfo=UTC)
    document = report.result_document("layers", when, {}, result, "x", ("CPU limit: 1, 2",))
    assert (document["forced"], document["not_alike"]) == (True, ["CPU limit: 1, 2"])


def test_calibration_says_what_could_not_have_been_seen() -> None:
    assert "shows no difference" in compare.calibration_line(found(samples(1.0)))
    assert "FAILED" in compare.calibration_line(found(samples(1.1)))
    assert "too few" in compare.calibration_line(found(samples(1.1)[:4]))


def test_quantities_are_all_sayable() -> None:
    for quantity in comparison._QUANTITIES:
        measured = tuple(
            replace(one, cpu_us=8_000, host_us=1, p50_ms=1.0, rate=1.0)
            if one.target == "docker"
            else one
            for one in samples(1.0)
        )
        said = contrast(measured, quantity, "namespaces", "docker", seed=1).sentence
        assert " % " in said
        assert "{" not in said


def test_probes_of_the_other_world_are_told_and_what_they_do() -> None:
    said = " ".join(report.text(found(samples(1.0))).split())
    assert "Docker's health probes ran also while the namespaces were loaded" in said
    assert "host counts them in both" in said
    alone = replace(found(samples(1.0)), rest=Rest({"net": 3_000.0}, 20_000.0))
    assert "probes ran also" not in " ".join(report.text(alone).split())


def test_a_figure_that_is_none_is_null_in_what_is_kept(tmp_path: Path) -> None:
    broken = (replace(samples(1.0)[0], p99_ms=float("nan")), *samples(1.0)[1:])
    one = found(broken)
    page = report.save(one.name, one.started, report.document(one), "", tmp_path)
    text = page.with_suffix(".json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["samples"][0]["p99_ms"] is None
