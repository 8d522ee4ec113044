"""Write what docs/metrics.md shows of the code: its tables, the Grafana dashboard, the alert rules.

`.venv/bin/python -m docs.metrics` writes them; a test fails when one is stale.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from docs.figures import filled
from docs.grafana_dashboard import dashboard
from twinstack.observe.metrics.families import OWN, RELAYED, REPLICA, Family
from twinstack.observe.prometheus.alerts import ALERTS, rules
from twinstack.observe.prometheus.files import Options, scrape

HERE = Path(__file__).parent
PAGE = HERE / "metrics.md"


def families(shown: Iterable[Family]) -> str:
    """Write a table of families."""
    head = ["| family | type | of each | says | from |", "|---|---|---|---|---|"]
    return "\n".join([*head, *map(_row, shown)])


def _row(family: Family) -> str:
    cells = (f"`{family.name}`", family.kind, _each(family.labels), family.help, family.source)
    return f"| {' | '.join(cells)} |"


def _each(labels: tuple[str, ...]) -> str:
    if labels[: len(REPLICA)] == REPLICA:
        return ", ".join(("replica", *labels[len(REPLICA) :]))
    return ", ".join(labels) or "this host"


def alerts() -> str:
    """Write a table of the alerts."""
    lines = ["| alert | severity | means | looks closer |", "|---|---|---|---|"]
    for alert in ALERTS:
        command = alert.command.replace("{{ $labels.world }}", "WORLD")
        command = command.replace("{{ $labels.replica }}", "REPLICA")
        lines.append(f"| {alert.name} | {alert.severity} | {alert.description} | `{command}` |")
    return "\n".join(lines)


def files() -> dict[Path, str]:
    """Give the text of every file."""
    page = PAGE.read_text(encoding="utf-8")
    for place, text in (
        ("OWN", families(OWN)),
        ("RELAYED", families(RELAYED)),
        ("ALERTS", alerts()),
    ):
        page = filled(page, place, text)
    options = Options(interval_s=15)
    return {
        PAGE: page,
        HERE / "grafana" / "twinstack.json": json.dumps(dashboard(), indent=1) + "\n",
        HERE / "prometheus" / "prometheus.yml": scrape(options, "alerts.yml", "main"),
        HERE / "prometheus" / "alerts.yml": rules("main", options.interval_s),
    }


if __name__ == "__main__":
    for file, text in files().items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
