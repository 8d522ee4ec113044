"""A traffic report as one HTML file that needs nothing else: no script, no network."""

from __future__ import annotations

from pathlib import Path

from twinstack.observe.traffic import charts
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.sections import headline, sections
from twinstack.observe.units import size
from twinstack.software.configs import templates_in

TEMPLATE = "traffic.html.j2"
#: Shown of a table; the JSON document has all.
MAX_ROWS = 200


def page(report: TrafficReport, templates: Path) -> str:
    """Write the page. `templates` is the folder that holds its template."""
    return (
        templates_in(templates, html=True)
        .get_template(TEMPLATE)
        .render(
            report=report,
            headline=headline(report),
            sections=sections(report),
            max_rows=MAX_ROWS,
            ring=charts.ring(report),
            timeline=charts.timeline(report),
            size=size,
        )
    )
