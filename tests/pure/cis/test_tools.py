"""The linters of others, and the task that runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context

from front.policy import policy_cis
from tests.support.cis_edits import FILE, plan_of, rendered, subject
from tests.support.project import ROOT
from twinstack import stack
from twinstack.cis import tools
from twinstack.cis.catalogue import RULES
from twinstack.cis.gate import judge
from twinstack.cis.known import EXEMPT, UNDECIDED
from twinstack.compose.render import COMPOSE_FILE


def test_the_linters_pass_what_is_rendered_but_for_the_exceptions():
    texts = rendered(plan_of())
    dockerfiles = {path: text for path, text in texts.items() if path in subject().dockerfiles}
    linted = tools.lint(dockerfiles, {COMPOSE_FILE: texts[COMPOSE_FILE]})
    report = judge([subject()], linted)
    assert [str(finding) for row in report.rules for finding in row.findings] == []
    outcomes = {row.number: row.outcome for row in report.rules}
    assert (outcomes["hadolint"], outcomes["schema"], outcomes["compose"]) == (
        "exception",
        "pass",
        "pass",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM a:1\nADD b c\n", "DL3020"),
        ("FROM a\nRUN true\n", "DL3006"),
        ("FROM a:1\nRUN cd /x && rm -rf $y/*\n", "SC2086"),
        ("FROM a:1\n# hadolint ignore=DL3020\nADD b c\n", "DL3020"),
        ("FROM a:1\nRUNN x\n", "DL1000"),
    ],
)
def test_hadolint_notices(text: str, said: str):
    found = list(tools.hadolint({"f": text}))
    assert said in " ".join(finding.what for finding in found)
    assert {(finding.rule, finding.file) for finding in found} == {("hadolint", "f")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {a: {image: x, privilegedd: true}}", "privilegedd"),
        ("services: {a: {image: x, mem_limit: [1]}}", "[1] is not of type"),
        ("service: {a: {image: x}}", "'service'"),
        ("services: {a: {image: x, ports: {b: c}}}", "is not of type 'array'"),
        ("a: [", "parse"),
    ],
)
def test_the_schema_notices(text: str, said: str):
    assert said in " ".join(finding.what for finding in tools.schema({"f": text}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: n\nservices: {a: {image: x, networks: [none]}}", "undefined network none"),
        ("name: n\nservices: {a: {image: x, secrets: [none]}}", "undefined secret none"),
        ("name: n\nservices: {a: {image: x, depends_on: [none]}}", "none"),
        ("name: n\nservices: {a: {}}", "neither an image nor a build context"),
        ("name: n\nservices: {a: {image: 'x:${TAG}'}}", "TAG"),
    ],
)
def test_compose_notices(text: str, said: str):
    assert said in " ".join(finding.what for finding in tools.compose({"f": text}))


def asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], repository: Path
) -> tuple[int, str, str]:
    here = stack.Stack("main", ROOT / "topology.yml", repository)
    monkeypatch.setattr(stack, "from_environment", lambda: here)
    code = 0
    try:
        policy_cis.body(Context(), json=True)
    except SystemExit as end:
        code = int(str(end.code))
    return code, *capsys.readouterr()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for path, text in rendered(plan_of()).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_the_task_passes_what_is_rendered(monkeypatch: Any, capsys: Any, clone: Path):
    code, out, err = asked(monkeypatch, capsys, clone)
    report = json.loads(out)
    assert (code, report["ok"], err) == (0, True, "")
    assert COMPOSE_FILE in report["files"]
    assert "compose document of main, tiered" in report["files"]
    assert {row["number"] for row in report["rules"]} >= set(RULES)


def test_the_task_fails_what_was_tampered_with(monkeypatch: Any, capsys: Any, clone: Path):
    file = clone / COMPOSE_FILE
    file.write_text(file.read_text().replace("read_only: true", "privileged: true"))
    code, out, _ = asked(monkeypatch, capsys, clone)
    failed = {row["number"] for row in json.loads(out)["rules"] if row["outcome"] == "fail"}
    assert (code, failed) == (1, {"5.5", "5.13"})


@pytest.mark.parametrize("missing", [COMPOSE_FILE, FILE])
def test_the_task_cannot_tell_without_the_files(
    monkeypatch: Any, capsys: Any, clone: Path, missing: str
):
    (clone / missing).unlink()
    code, out, err = asked(monkeypatch, capsys, clone)
    assert (code, out) == (2, "")
    assert "docker.render" in err


def test_the_task_cannot_tell_without_a_linter(monkeypatch: Any, capsys: Any, clone: Path):
    monkeypatch.setattr(tools.sysconfig, "get_path", lambda _: str(clone))  # type: ignore[attr-defined]
    code, _, err = asked(monkeypatch, capsys, clone)
    assert (code, "hadolint: is not installed" in err) == (2, True)


def test_the_table_says_each_rule_exception_and_reason(monkeypatch: Any, capsys: Any, clone: Path):
    here = stack.Stack("main", ROOT / "topology.yml", clone)
    monkeypatch.setattr(stack, "from_environment", lambda: here)
    policy_cis.body(Context())
    out = capsys.readouterr().out
    for words in (
        *(f"{number:<10}" for number in RULES),
        *(known.why for known in EXEMPT),
        *(other.why for other in UNDECIDED),
        "at compose/docker-compose.yml: nginx-lb, api-gateway",
        " 0 fail, ",
    ):
        assert words in out, words
