"""The CIS gate: each rule notices each bad variant, and nothing in what is rendered."""

from __future__ import annotations

import pytest

from tests.support.cis_cases import GOOD, VARIANTS
from tests.support.cis_edits import FILE, SERVICE, Bad, new_findings, plan_of, rendered, subject
from twinstack.cis.gate import RULES, declared, judge, subject_of
from twinstack.cis.known import EXEMPT, UNTOLD
from twinstack.compose.render import compose_text

#: Sections 4 and 5 of CIS Docker Benchmark v1.6.0, v1.7.0 and v1.8.0 count thus far.
RECOMMENDATIONS = [f"4.{place}" for place in range(1, 13)] + [
    f"5.{place}" for place in range(1, 33)
]
ELSEWHERE = {"document", "service-registry", "nginx-lb", "network sly"}


@pytest.mark.parametrize("bad", VARIANTS, ids=lambda bad: bad.id)
def test_a_rule_notices(bad: Bad):
    found = [one for one in new_findings(bad) if one.rule == bad.rule and bad.said in one.what]
    assert found, [str(one) for one in new_findings(bad)]
    for one in found:
        assert one.remedy
        assert one.file == FILE or one.where in {SERVICE, *ELSEWHERE}
        assert not any(exempt.covers(one) for exempt in EXEMPT)


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.said)
def test_what_is_well_is_not_objected_to(good: Bad):
    assert [str(one) for one in new_findings(good)] == []


def test_every_rule_has_a_bad_variant():
    assert {rule.number for rule in RULES} - {bad.rule for bad in VARIANTS} == set()


def test_every_recommendation_has_a_rule_or_a_reason():
    ruled, untold = [rule.number for rule in RULES], [one.number for one in UNTOLD]
    told = [number for number in ruled + untold if not number.startswith("T")]
    assert sorted(told) == sorted(RECOMMENDATIONS)  # each once


@pytest.mark.parametrize("shape", ["flat", "tiered"])
@pytest.mark.parametrize("instance", ["main", "other"])
def test_what_is_rendered_passes(shape: str, instance: str):
    report = judge([subject(plan_of(shape, instance))])
    assert [str(one) for row in report.rows for one in row.findings] == []
    assert {row.number for row in report.rows if row.outcome == "exception"} == {
        "4.10",
        "5.14",
        "5.15",
    }


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_the_document_of_docker_up_passes(shape: str):
    """It builds nothing: the images are there by then."""
    plan = plan_of(shape)
    texts = {**rendered(plan), "up": compose_text(plan, None)}
    report = judge([subject_of(texts, "up", declared(plan))])
    assert [str(one) for row in report.rows for one in row.findings] == []


def test_a_stack_without_limits_fails():
    report = judge([subject(plan_of(limited=False))])
    failed = {row.number for row in report.rows if row.outcome == "fail"}
    assert failed == {"5.11", "5.12", "5.29"}
