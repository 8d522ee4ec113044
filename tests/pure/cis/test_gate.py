"""The CIS gate as a whole: its reader, exceptions, linters, task and page."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context

from front.policy_cis import policy_cis
from tests.support.cis_edits import FILE, REPOSITORY, line, plan_of, rendered, service, subject
from twinstack import stack
from twinstack.cis import tools
from twinstack.cis.dockerfile import commands, parse
from twinstack.cis.document import parse as parse_document
from twinstack.cis.finding import Finding
from twinstack.cis.gate import RULES, judge
from twinstack.cis.known import EXEMPT, UNTOLD, Exempt
from twinstack.compose.render import COMPOSE_FILE
from twinstack.errors import CannotTell

HERE_DOCUMENT = """\
# escape=`
ARG A=x
FROM ${A}:${B:-1} AS one
RUN first `
    # a remark
    && second

COPY --from=zero --chmod=0644 <<EOF /x
FROM nothing
EOF
FROM --platform=linux/arm64 one
run ["a", "b c"]
ONBUILD USER 5:5
"""


def test_a_dockerfile_is_read_as_docker_reads_it():
    build = parse(HERE_DOCUMENT, "x")
    assert [(one.base, one.name, one.line) for one in build.stages] == [
        ("x:1", "one", 3),
        ("one", "", 11),
    ]
    assert [(one.keyword, one.line) for one in build.shipped()] == [
        ("RUN", 4),
        ("COPY", 8),
        ("RUN", 12),
        ("USER", 13),
    ]
    first, copy, second, _ = build.shipped()
    assert first.text.split() == ["first", "&&", "second"]
    assert (copy.flag("from"), copy.flag("chmod"), copy.flag("none")) == ("zero", "0644", None)
    assert second.words == ("a", "b c")
    assert build.shipped("one") == (first, copy)


def test_a_stage_that_stands_on_its_own_name_ends():
    assert parse("FROM a AS a\nRUN x\nFROM a\n", "x").shipped()[0].text == "x"


@pytest.mark.parametrize("text", ["", "RUN x", "FROM", "FROM a b", "FROM a\nRUNN x", "FROM a is b"])
def test_what_is_no_dockerfile_is_not_judged(text: str):
    with pytest.raises(CannotTell):
        parse(text, "x")


@pytest.mark.parametrize("text", ["", "a: [", "- x", "services: {}", "services: [x]"])
def test_what_is_no_compose_document_is_not_judged(text: str):
    with pytest.raises(CannotTell):
        parse_document(text, "x")


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("a b && c; d | e", [["a", "b"], ["c"], ["d"], ["e"]]),
        ("sh -c 'x y'", [["sh", "-c", "x y"], ["x", "y"]]),
        ('echo "$(a b)"', [["echo", "(a b)"], ["a", "b"]]),
        ("if [ a ]; then b\nfi", [["if", "[", "a", "]"], ["then", "b"], ["fi"]]),
        ("never 'ends", [["never", "'ends"]]),
    ],
)
def test_a_script_is_split_into_its_commands(script: str, found: list[list[str]]):
    assert list(commands(script)) == found


def test_an_exception_covers_what_it_names_and_nothing_else():
    known = Exempt("5.14", "*", "nginx-lb", "0.0.0.0:* is bound to every interface", "")
    finding = Finding("5.14", "f", "nginx-lb", "0.0.0.0:8088:80 is bound to every interface", "")
    assert known.covers(finding)
    for other in (
        Finding("5.13", finding.file, finding.where, finding.what, ""),
        Finding("5.14", finding.file, "api-gateway", finding.what, ""),
        Finding("5.14", finding.file, finding.where, "[::]:1:1 is bound to every interface", ""),
    ):
        assert not known.covers(other)


def test_an_exception_that_covers_nothing_fails():
    known = Exempt("5.5", "*", "*", "*", "once needed")
    report = judge([subject()], exempt=(*EXEMPT, known))
    (row,) = (row for row in report.rows if row.outcome == "fail")
    assert (row.number, row.findings[0].where) == ("exempt", "rule 5.5")


def test_an_exception_of_a_linter_that_was_not_asked_is_not_stale():
    assert any(known.rule == "hadolint" for known in EXEMPT)
    assert judge([subject()]).passed
    assert not judge([subject()], {"hadolint": ("", [])}).passed


def test_the_linters_pass_what_is_rendered_but_for_the_exceptions():
    texts = rendered(plan_of())
    dockerfiles = {path: text for path, text in texts.items() if path in subject().builds}
    linted = tools.lint(dockerfiles, {COMPOSE_FILE: texts[COMPOSE_FILE]})
    report = judge([subject()], linted)
    assert [str(one) for row in report.rows for one in row.findings] == []
    outcomes = {row.number: row.outcome for row in report.rows}
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
    assert said in " ".join(one.what for one in found)
    assert {(one.rule, one.file) for one in found} == {("hadolint", "f")}


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
    assert said in " ".join(one.what for one in tools.schema({"f": text}))


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
    assert said in " ".join(one.what for one in tools.compose({"f": text}))


def sources() -> list[Path]:
    found = [
        path
        for place in ("twinstack", "front", "bench")
        for path in (REPOSITORY / place).rglob("*.py")
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


def asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], repository: Path
) -> tuple[int, str, str]:
    here = stack.Stack("main", REPOSITORY / "topology.yml", repository)
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
    assert (code, report["passed"], err) == (0, True, "")
    assert report["counts"]["fail"] == 0
    assert COMPOSE_FILE in report["files"]
    assert "compose document of main, tiered" in report["files"]
    assert {row["number"] for row in report["rules"]} >= {rule.number for rule in RULES}


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
    here = stack.Stack("main", REPOSITORY / "topology.yml", clone)
    monkeypatch.setattr(stack, "from_environment", lambda: here)
    policy_cis.body(Context())
    out = capsys.readouterr().out
    for words in (
        *(f"{rule.number:<10}" for rule in RULES),
        *(known.why for known in EXEMPT),
        *(one.why for one in UNTOLD),
        "at compose/docker-compose.yml: nginx-lb, api-gateway",
        " 0 fail, ",
    ):
        assert words in out, words


def test_the_page_says_what_holds_each():
    page = (REPOSITORY / "docs/policy-cis.md").read_text()
    for rule in RULES:
        assert f"| {rule.number} | {rule.title} | " in page
    for one in UNTOLD:
        assert f"| {one.number} | {one.title} | {one.why} |" in page
    for known in EXEMPT:
        assert f"| {known.rule}" in page.partition("## Exceptions")[2], known.rule


def test_a_bad_variant_fails_the_report():
    for bad in (service("5.5", "", privileged=True), line("4.9", "", "ADD x /x")):
        report = judge([bad.edit(subject())])
        assert bad.rule in {row.number for row in report.rows if row.outcome == "fail"}
