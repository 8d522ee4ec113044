"""A cause is named by the counter that it alone moves; where several moved, toggles decide."""

from __future__ import annotations

from typing import Any

import pytest

from bench.engine.arm import Contrast
from bench.engine.measured import Measured
from bench.questions import symptoms
from bench.questions.symptoms import (
    COLD,
    DNS,
    KEEPALIVE,
    LOG,
    PROXY,
    QUOTA,
    REPLICA,
    RULES,
    findings,
    named,
    unlike,
)
from tests.support.bench_fakes import measured, window

WORSE = Contrast("suspect", "as planned")
PLAIN = {"waited_lines": 2.0, "rules": 64.0}
SHOWN: dict[str, dict[str, Any]] = {
    QUOTA: {"throttled_us": 400_000.0},
    PROXY: {"parts_us": {"services": 300_000.0, "docker-proxy": 160_000.0}},
    REPLICA: {"figures": {**PLAIN, "missing": 1.0}},
    KEEPALIVE: {"figures": {**PLAIN, "opened": 1.0}},
    DNS: {"figures": {**PLAIN, "opened": 1.0, "datagrams": 2.0}},
    RULES: {"figures": {**PLAIN, "rules": 2_067.0}},
    LOG: {"figures": {"waited_lines": 3.0, "rules": 64.0}},
    COLD: {"figures": {**PLAIN, "fills": 0.05}},
}


def looked_at(shown: dict[str, Any]) -> Measured:
    windows = [
        window(arm, deployment, deployment, **{"figures": PLAIN, **fields})
        for deployment in (1, 2, 3)
        for arm, fields in (("as planned", {}), ("suspect", shown))
    ]
    return measured({}, [WORSE], windows=tuple(windows))


@pytest.mark.parametrize("cause", SHOWN)
def test_each_cause_is_named_by_its_own_counter_alone(cause: str) -> None:
    found = findings(looked_at(SHOWN[cause]), WORSE)
    assert named(found, {}) == (cause,)
    assert max(map(len, symptoms.table(found, WORSE).splitlines())) <= 80


def test_nothing_is_named_where_nothing_shows() -> None:
    found = findings(looked_at({}), WORSE)
    assert named(found, {}) == ()
    assert "None of the known causes" in symptoms.table(found, WORSE)


def test_the_cause_whose_removal_leaves_least_is_named_first() -> None:
    figures = {**PLAIN, "rules": 2_067.0, "fills": 0.05}
    found = findings(looked_at({"figures": figures}), WORSE)
    assert {each.cause for each in found} == {RULES, COLD}
    assert named(found, {RULES: 0.4, COLD: 0.02}) == (COLD, RULES)


def test_arms_are_unlike_in_rate_and_cpu_together() -> None:
    arms = measured({"a": 4_000, "b": 2_000}, [WORSE]).arms
    assert unlike(arms["a"], arms["a"]) == 0
    assert unlike(arms["a"], arms["b"]) == pytest.approx(2 * 0.693, abs=0.03)
