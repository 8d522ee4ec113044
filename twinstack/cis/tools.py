"""Read what is rendered, and run the linters of others on it.

hadolint reads Dockerfiles (its own rules, and ShellCheck's over RUN). check-jsonschema brings the
compose-spec schema, which knows every key. Compose knows in addition whether what one section names
exists in another. Compose stops at its first complaint and ignores unknown keys within extensions,
so neither can stand for the other.
"""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from twinstack.cis.catalogue import Finding
from twinstack.cis.gate import CisReport, allowed_by, judge, subject_of
from twinstack.compose.client import compose_program
from twinstack.compose.render import COMPOSE_FILE, compose_text, render_files
from twinstack.errors import CannotTell, Missing
from twinstack.linux.process import run
from twinstack.model.plan import Plan

TIMEOUT_S = 60.0


def examine(repository: Path, plan: Plan, others: Sequence[Plan] = ()) -> CisReport:
    """Judge the files of `plan` in the repository, and what `others` would render.

    A plan of another shape or instance has the same Dockerfiles; docker.up renders its compose
    document, and so does this. Raises: Missing without the files or a linter; CannotTell.
    """
    texts = {path: _read(repository / path) for path in render_files(plan)}
    subjects = [subject_of(texts, COMPOSE_FILE, allowed_by(plan))]
    documents = {COMPOSE_FILE: texts[COMPOSE_FILE]}
    for other in others:
        name = f"compose document of {other.instance}, {other.shape}"
        documents[name] = compose_text(other)
        subjects.append(subject_of(texts | documents, name, allowed_by(other)))
    dockerfiles = {path: texts[path] for path in subjects[0].dockerfiles}
    return judge(subjects, lint(dockerfiles, documents))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise Missing(str(path), "does not exist", "", 'run "invoke docker.render"') from error


def lint(
    dockerfiles: Mapping[str, str], documents: Mapping[str, str]
) -> dict[str, tuple[str, list[Finding]]]:
    """Run all three: name → (title, findings). Raises: Missing without one; CannotTell."""
    return {
        "hadolint": ("hadolint finds nothing", list(hadolint(dockerfiles))),
        "schema": ("The compose-spec schema holds", list(schema(documents))),
        "compose": ("Compose itself takes the file", list(compose(documents))),
    }


def hadolint(dockerfiles: Mapping[str, str]) -> Iterator[Finding]:
    """Lint Dockerfiles.

    Neither remarks in them that switch a rule off nor the user's configuration count: exceptions
    stand in `known`, for all to see.
    """
    program = Path(sysconfig.get_path("scripts"), "hadolint")
    if not program.exists():
        raise Missing("hadolint", "is not installed", f"there is no {program}", 'run "make setup"')
    options = "--config /dev/null --disable-ignore-pragma --no-fail --format json -"
    for file, text in dockerfiles.items():
        done = run([str(program), *options.split()], stdin=text, timeout_s=TIMEOUT_S)
        for report in _json("hadolint", done.stdout):
            code, where = str(report["code"]), f"line {report['line']}"
            what = f"{code} {report['message']}"
            yield Finding("hadolint", file, where, what, f"see hadolint's {code}")


def schema(documents: Mapping[str, str]) -> Iterator[Finding]:
    """Hold documents against the schema that check-jsonschema ships: it needs no network."""
    options = "--builtin-schema vendor.compose-spec --force-filetype yaml --output-format json -"
    command = [sys.executable, "-m", "check_jsonschema", *options.split()]
    for file, text in documents.items():
        done = run(command, stdin=text, timeout_s=TIMEOUT_S, check=False)
        if "No module named" in done.stderr:
            raise Missing("check-jsonschema", "is not installed", "", 'run "make setup"')
        report = _json("check-jsonschema", done.stdout)
        for error in report["errors"]:
            yield _refused("schema", file, error["message"], str(error["path"]))
        for error in report.get("parse_errors", ()):
            yield _refused("schema", file, error["message"])


def compose(documents: Mapping[str, str]) -> Iterator[Finding]:
    """Have Compose resolve documents; it asks no engine, and opens no secret."""
    options = ("--project-directory", "/", "--file", "-", "config", "--quiet")
    command = [str(compose_program()), *options]
    home = {"HOME": "/nonexistent"}
    for file, text in documents.items():
        done = run(command, stdin=text, timeout_s=TIMEOUT_S, environment=home, check=False)
        if done.returncode != 0 or done.stderr.strip():
            lines = (done.stderr or done.stdout).strip().splitlines()
            yield _refused("compose", file, lines[-1] if lines else "refused")


def _refused(linter: str, file: str, message: str, where: str = "document") -> Finding:
    return Finding(linter, file, where, message[:200], "see the Compose specification")


def _json(program: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CannotTell(program, "gave no answer", text[-200:] or "no output") from error
