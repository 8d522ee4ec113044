"""A comparison's report: the width of a terminal, warnings, stable keys."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench.engine.comparability import Comparability, Mismatch
from bench.engine.comparison import contrast, rows
from bench.engine.meter import Rest
from bench.engine.trials import Sample
from bench.load.ab import AbLoad
from bench.questions import compare_report
from bench.questions.compare import CONTRASTS
from bench.questions.compare_report import Comparison
from tests.support.bench_fakes import compared_samples

SECCOMP = Mismatch("seccomp of every replica", "none", "filter", "stated")


def comparison(factor: float = 1.0, samples: tuple[Sample, ...] = ()) -> Comparison:
    measured = samples or compared_samples(factor)
    return Comparison(
        load=AbLoad(),
        rounds=10,
        seed=7,
        alike=Comparability("net", "docker", (SECCOMP,)),
        rest=Rest({"net": 3_000.0, "docker": 12_000.0}, 20_000.0),
        samples=measured,
        rows=rows(measured, {"namespaces": "10.0.0.10:80", "docker": "172.30.0.10:80"}),
        contrasts=tuple(
            contrast(measured, quantity, "namespaces", "docker", seed=7) for quantity in CONTRASTS
        ),
        policy=True,
        cores=2,
    )


def flowing(compared: Comparison) -> str:
    return " ".join(compare_report.text(compared).split())


@pytest.mark.parametrize("factor", [0.01, 1.0, 20.0])
def test_the_report_fits_eighty_columns(factor: float) -> None:
    assert max(map(len, compare_report.text(comparison(factor)).splitlines())) <= 80


def test_the_report_states_what_is_not_alike() -> None:
    assert "- seccomp of every replica: net none, docker filter" in flowing(comparison())


def test_one_failure_in_a_thousand_is_not_rounded_away() -> None:
    first, *rest = compared_samples(1.0)
    failing = comparison(samples=(replace(first, success=999, lost=1), *rest))
    assert "99.99%" in compare_report.table(failing.rows)
    assert "FAILED" in compare_report.text(failing)


def test_a_busy_machine_is_warned_of_and_a_quiet_one_is_not() -> None:
    assert "BUSY" not in flowing(comparison())
    busy = replace(comparison(), rest=Rest({"net": 3_000.0, "docker": 12_000.0}, 900_000.0))
    assert "44% of its CPU time went to neither world" in flowing(busy)


def test_a_world_that_another_client_loads_is_warned_of() -> None:
    assert "the other spent 3.3 ms of CPU a second: idle." in flowing(comparison())
    samples = tuple(replace(sample, others_cpu_us=90_000) for sample in compared_samples(1.0))
    assert "NOT idle" in flowing(comparison(samples=samples))


def test_probes_of_the_other_world_are_stated_with_their_effect() -> None:
    text = flowing(comparison())
    assert "Docker's health probes ran also while the namespaces were loaded" in text
    assert "host counts them in both" in text
    alone = replace(comparison(), rest=Rest({"net": 3_000.0}, 20_000.0))
    assert "probes ran also" not in flowing(alone)


def test_a_calibration_says_what_could_not_have_been_seen() -> None:
    assert "shows no difference" in compare_report.calibration(comparison())
    assert "FAILED" in compare_report.calibration(comparison(1.1))
    few = comparison(samples=compared_samples(1.1)[:4])
    assert "too few" in compare_report.calibration(few)


def test_the_fields_have_their_stable_keys_and_are_json() -> None:
    fields = json.loads(json.dumps(compare_report.fields(comparison(1.1))))
    keys = "load rounds seed alike_but_for rest rows contrasts succeeded samples"
    assert set(fields) == set(keys.split())
    keys = "quantity first second ratio low high level verdict sentence"
    assert set(fields["contrasts"][0]) == set(keys.split())
    assert set(fields["load"]) == {"path", "requests", "concurrency", "keepalive", "timeout_s"}
    assert len(fields["samples"]) == 20
