"""What tasks print with --json is a contract: each has a schema, made from the types it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tasks
from docs import json_schemas
from front import clean
from front import net as net_tasks
from tests.support import contract
from tests.support.tasks import FakeNet, call
from twinstack.errors import NOTHING
from twinstack.printable import dumps

MADE = json_schemas.files()


def test_every_task_with_json_has_a_schema_and_no_other_has() -> None:
    assert {path.stem for path in MADE} == {
        file.stem for file in json_schemas.SCHEMAS.glob("*.json")
    }
    assert {"net.status", "bench", "bench.policy", "chaos", "traffic.report"} <= {
        path.stem for path in MADE
    }


@pytest.mark.parametrize("file", MADE, ids=[file.stem for file in MADE])
def test_a_schema_is_made_from_the_types_as_they_are(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == MADE[file], (
        "stale: run .venv/bin/python -m docs.json_schemas"
    )
    contract.validator(file.stem)


def test_a_type_is_declared_for_tasks_that_are_there_and_no_other() -> None:
    printed = list(json_schemas.printing())
    unused = [
        key
        for key in json_schemas.DOCUMENTS
        if not any(json_schemas.DOCUMENTS[key] == json_schemas.types_of(task) for task in printed)
    ]
    assert unused == []


def test_documents_are_as_their_schemas_say(
    net: FakeNet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tasks.namespace
    assert call(net_tasks.net_status, json=True) == 0
    assert call(net_tasks.net_plan, json=True) == 0
    assert call(clean.clean, json=True) == 0
    net.state = "absent"
    assert call(net_tasks.net_status, json=True) == NOTHING
    status, plan, cleaned, absent = contract.check(capsys.readouterr().out)
    assert status["schema"] == "twinstack/net.status/1"
    assert [each["ok"] for each in (status, plan, cleaned, absent)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"ok": "yes"}, "ok"),
        ({"services": [{"name": "x"}]}, "services"),
        ({"surplus": 1}, "surplus"),
        ({"schema": "twinstack/net.status/2"}, "schema"),
    ],
)
def test_a_document_that_differs_is_refused(
    change: dict[str, Any], where: str, net: FakeNet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(net_tasks.net_status, json=True) == 0
    document = json.loads(capsys.readouterr().out) | change
    with pytest.raises(AssertionError, match=where):
        contract.check(json.dumps(document))


def test_sets_are_arrays_and_what_json_does_not_know_is_no_repr() -> None:
    assert dumps({"a": frozenset({"y", "x"}), "b": float("inf")}, indent=None) == (
        '{"a": ["x", "y"], "b": null}'
    )
