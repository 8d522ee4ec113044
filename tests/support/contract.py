"""Hold what a task prints with --json against its schema in docs/schemas/."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.project import ROOT


@cache
def validator(task: str) -> Draft202012Validator:
    """Give what judges the documents of a task."""
    schema = json.loads((ROOT / f"docs/schemas/{task}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def check(printed: str) -> list[dict[str, Any]]:
    """Judge the documents that tasks printed, one a line; give them."""
    documents = [json.loads(line) for line in printed.splitlines()]
    for document in documents:
        project, task, _ = document["schema"].split("/")
        assert project == "twinstack"
        wrong = [
            f"{error.json_path}: {error.message}" for error in validator(task).iter_errors(document)
        ]
        assert not wrong, (task, wrong[:3])
        assert "frozenset(" not in printed
    return documents
