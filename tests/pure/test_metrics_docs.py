"""What docs/metrics.md shows of the code is the code's; the file for Grafana is whole."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import metrics
from docs.grafana_dashboard import selected
from twinstack.observe.metrics.families import OWN, RELAYED

BOARD: dict[str, Any] = json.loads((metrics.HERE / "grafana" / "twinstack.json").read_text())
#: Of every dashboard of the classic model. Source: grafana.com, Dashboard JSON model.
FIELDS = {
    *("id", "uid", "title", "tags", "timezone", "editable", "graphTooltip", "panels", "time"),
    *("timepicker", "templating", "annotations", "refresh", "schemaVersion", "version", "links"),
}


def expressions() -> list[str]:
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


def test_no_file_is_stale() -> None:
    stale = [path.name for path, text in metrics.files().items() if path.read_text() != text]
    assert stale == [], "run: .venv/bin/python -m docs.metrics"


def test_grafanas_file_has_every_field_and_its_panels_do_not_overlap() -> None:
    assert set(BOARD) == FIELDS
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    cells = [
        (x, y)
        for panel in BOARD["panels"]
        for box in [panel["gridPos"]]
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    for panel in BOARD["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert [each["name"] for each in BOARD["templating"]["list"]] == ["datasource", "world"]


def test_every_expression_names_families_that_there_are() -> None:
    names = {name for family in (*OWN, *RELAYED) for name in family.series}
    for expression in expressions():
        named = set(re.findall(r"(\w+)\{", expression))
        assert named, expression
        assert named <= names, expression


def test_prometheus_can_read_every_expression(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"panel:{number}",
            "expr": expression.replace("$__rate_interval", "1m").replace("$world", "net|docker"),
        }
        for number, expression in enumerate(expressions())
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_panel_of_a_family_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="twinstack_nothing"):
        selected("twinstack_nothing")
