"""Two results are compared by their ratios, and only where they are of the same thing."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bench.engine import change, result
from bench.engine.arm import Contrast
from bench.engine.kept import Kept
from bench.engine.store import SCHEMA
from tests.support.bench_fakes import measured
from twinstack.errors import CannotTell, TwinstackError
from twinstack.statistics.estimate import Interval

COST = Contrast("docker", "namespaces")
ENVIRONMENT = {
    "cpu": "A CPU",
    "cores": 2,
    "memory_bytes": 1 << 32,
    "shape": "flat",
    "limits": {"nginx-lb": "1 cores"},
    "docker": "20.10",
    "mitigations": {"spectre_v2": "Retpolines"},
}


def kept(docker: int = 3_800, environment: dict[str, Any] | None = None, **fields: Any) -> Kept:
    ended = measured({"namespaces": 4_000, "docker": docker}, [COST])
    document = {
        "schema": SCHEMA,
        "name": "compare",
        "started": "2026-11-28T10:00:00+00:00",
        "environment": ENVIRONMENT | (environment or {}),
        **result.fields(ended),
        **fields,
    }
    return Kept("20261128T100000Z-compare", json.loads(json.dumps(document)))


def test_a_change_has_the_wider_interval_of_two_estimates() -> None:
    of = change.changed(Interval(10, 7, 14), Interval(20, 17, 24))
    assert (of.estimate, of.low, of.high) == (10, 5, 15)


def test_the_same_result_twice_has_not_changed() -> None:
    document = change.compare(kept(), kept())
    assert document.measure == "difference of ratios"
    assert document.sentence.startswith("docker over namespaces, CPU time per request: no ch")
    assert document.differs == {}


def test_a_change_on_one_machine_is_in_points_and_in_parts_of_the_ledger() -> None:
    document = change.compare(kept(), kept(3_400))
    (contrast,) = document.contrasts
    expected = 4_000 / 3_400 - 4_000 / 3_800
    assert contrast["ratios"]["cpu"]["estimate"] == pytest.approx(expected, abs=0.01)
    assert "changed, +12." in document.sentence
    parts = dict(contrast["ledger_us"])
    whole = parts.pop("all")["estimate"]
    assert sum(part["estimate"] for part in parts.values()) == pytest.approx(whole)


def test_across_machines_only_a_ratio_of_ratios_is_told() -> None:
    document = change.compare(kept(), kept(3_400, {"cpu": "Another"}))
    (contrast,) = document.contrasts
    assert document.measure == "ratio of ratios"
    assert contrast["ratios"]["cpu"]["estimate"] == pytest.approx(3_800 / 3_400, abs=0.01)
    assert "ledger_us" not in contrast
    text = change.text(document)
    assert "µs" not in text
    assert "two machines" in text


def test_what_may_be_the_cause_is_named() -> None:
    text = change.text(
        change.compare(kept(), kept(environment={"docker": "26.1", "mitigations": {}}))
    )
    assert "docker 20.10 → 26.1" in text
    assert "mitigations" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("other", "keys"),
    [
        (kept(name="chain"), "name"),
        (kept(load="another"), "load"),
        (
            kept(environment={"shape": "tiered", "limits": {"nginx-lb": "none"}}),
            "shape, limits.nginx-lb",
        ),
        (kept(not_alike=["CPU limit"]), "not_alike"),
        (kept(fingerprint={"net": {"seccomp": "none"}}), "fingerprint"),
    ],
)
def test_unlike_results_are_refused_by_the_names_of_the_keys(other: Kept, keys: str) -> None:
    with pytest.raises(TwinstackError, match=f"are unlike: they differ in {keys}; "):
        change.compare(kept(), other)


def test_fingerprints_are_compared_key_by_key() -> None:
    first, second = (kept(fingerprint={"net": {"seccomp": x, "uid": "1"}}) for x in "ab")
    with pytest.raises(TwinstackError, match=r"differ in fingerprint\.net\.seccomp; "):
        change.compare(first, second)


def test_results_without_intervals_are_refused_in_one_line() -> None:
    for other, why in (
        (kept(schema=2), "of schema 2, older than 3"),
        (kept(contrasts=[]), "no int"),
    ):
        with pytest.raises(CannotTell, match=why):
            change.compare(kept(), other)


def test_a_ratio_of_ratios_is_symmetric() -> None:
    one, other = kept(), kept(3_400, {"cpu": "Another"})
    there, back = (
        change.compare(*pair).contrasts[0]["ratios"]["cpu"] for pair in ((one, other), (other, one))
    )
    assert math.isclose(there["low"] * back["high"], 1)


def test_what_is_allowed_is_compared_and_named() -> None:
    document = change.compare(kept(), kept(environment={"shape": "tiered"}), ["shape"])
    assert "NOT ALIKE, but allowed: shape." in change.text(document)
