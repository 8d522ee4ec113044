"""Read what is rendered, and hold it against everything: the rules and the linters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twinstack.cis import tools
from twinstack.cis.gate import Report, declared, judge, subject_of
from twinstack.compose.render import COMPOSE_FILE, compose_text, render_files
from twinstack.errors import Missing
from twinstack.model.plan import Plan


def examine(repository: Path, plan: Plan, others: Sequence[Plan] = ()) -> Report:
    """Judge the files of `plan` as they lie in the repository, and what `others` would be.

    A plan of another shape or instance has the same Dockerfiles; its compose document is made by
    docker.up, and so here. Raises: Missing without the files or a linter; CannotTell.
    """
    texts = {path: _read(repository / path) for path in render_files(plan)}
    subjects = [subject_of(texts, COMPOSE_FILE, declared(plan))]
    documents = {COMPOSE_FILE: texts[COMPOSE_FILE]}
    for other in others:
        name = f"compose document of {other.instance}, {other.shape}"
        documents[name] = compose_text(other)
        subjects.append(subject_of(texts | documents, name, declared(other)))
    dockerfiles = {path: texts[path] for path in subjects[0].builds}
    return judge(subjects, tools.lint(dockerfiles, documents))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise Missing(str(path), "is not there", "", 'run "invoke docker.render"') from error
