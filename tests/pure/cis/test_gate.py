"""The CIS gate as a whole: every rule, every recommendation, what is rendered, and the page."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.cis_cases import GOOD
from tests.support.cis_edits import Bad, line, new_findings, plan_of, rendered, service, subject
from tests.support.project import ROOT
from twinstack.cis.catalogue import RULES
from twinstack.cis.gate import allowed_by, judge, subject_of
from twinstack.cis.known import EXEMPT, UNDECIDED, Exempt
from twinstack.compose.render import compose_text

#: Sections 4 and 5 of CIS Docker Benchmark v1.6.0, v1.7.0 and v1.8.0 count thus far.
RECOMMENDATIONS = [f"4.{place}" for place in range(1, 13)] + [
    f"5.{place}" for place in range(1, 33)
]


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.said)
def test_other_ways_to_write_the_same_pass(good: Bad):
    assert [str(finding) for finding in new_findings(good)] == []


@pytest.mark.parametrize("shape", ["flat", "tiered"])
@pytest.mark.parametrize("instance", ["main", "other"])
def test_what_is_rendered_passes(shape: str, instance: str):
    report = judge([subject(plan_of(shape, instance))])
    assert [str(finding) for row in report.rules for finding in row.findings] == []
    assert {row.number for row in report.rules if row.outcome == "exception"} == {
        "4.10",
        "5.14",
        "5.15",
    }


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_the_document_of_docker_up_passes(shape: str):
    """It builds nothing: the images are there by then."""
    plan = plan_of(shape)
    texts = {**rendered(plan), "up": compose_text(plan, None)}
    report = judge([subject_of(texts, "up", allowed_by(plan))])
    assert [str(finding) for row in report.rules for finding in row.findings] == []


def test_a_stack_without_limits_fails():
    report = judge([subject(plan_of(limited=False))])
    failed = {row.number for row in report.rules if row.outcome == "fail"}
    assert failed == {"5.11", "5.12", "5.29"}


def test_an_exception_that_covers_nothing_fails():
    known = Exempt("5.5", "*", "*", "*", "once needed")
    report = judge([subject()], exempt=(*EXEMPT, known))
    (row,) = (row for row in report.rules if row.outcome == "fail")
    assert (row.number, row.findings[0].where) == ("exempt", "rule 5.5")


def test_an_exception_of_a_linter_that_was_not_asked_is_not_stale():
    assert any(known.rule == "hadolint" for known in EXEMPT)
    assert judge([subject()]).passed
    assert not judge([subject()], {"hadolint": ("", [])}).passed


def test_a_bad_variant_fails_the_report():
    for bad in (service("5.5", "", privileged=True), line("4.9", "", "ADD x /x")):
        report = judge([bad.edit(subject())])
        assert bad.rule in {row.number for row in report.rules if row.outcome == "fail"}


def sources() -> list[Path]:
    found = [
        path
        for place in ("twinstack", "front", "bench")
        for path in (ROOT / place).rglob("*.py")
        if "cis" not in path.parts
    ]
    assert len(found) > 50
    return found


def executing(tree: ast.AST) -> list[str]:
    """Find what would execute in a container with more than the container has: 5.23, 5.24."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in {"--privileged", "--user=root", "--user=0"}:
                found.append(node.value)
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in {"exec_run", "exec_create", "execute"}:
                found += [
                    f"{name}({word.arg}=…)"
                    for word in node.keywords
                    if word.arg in {"privileged", "user"}
                ]
    return found


def test_nothing_of_ours_executes_privileged_or_as_another_user():
    found = {
        str(path): said for path in sources() if (said := executing(ast.parse(path.read_text())))
    }
    assert found == {}


def test_such_a_call_would_be_noticed():
    bad = "c.exec_run('x', user='root')\nc.api.exec_create(privileged=True)\n['--privileged']"
    assert len(executing(ast.parse(bad))) == 3


def test_the_page_lists_each_rule_and_exception():
    page = (ROOT / "docs/policy-cis.md").read_text()
    for number, (title, _) in RULES.items():
        assert f"| {number} | {title} | " in page
    for other in UNDECIDED:
        assert f"| {other.number} | {other.title} | {other.why} |" in page
    for known in EXEMPT:
        assert f"| {known.rule}" in page.partition("## Exceptions")[2], known.rule
