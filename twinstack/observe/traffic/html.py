"""The report as one HTML file that needs nothing else: no script, no network."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from twinstack.observe.traffic import charts
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.tables import headline, sections, size

TEMPLATE = "traffic.html.j2"
#: Of a table; the JSON document has all of them.
MOST_ROWS = 200


def page(found: TrafficReport, templates: Path) -> str:
    """Write the page. `templates` is the folder that holds its template."""
    engine = Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return engine.get_template(TEMPLATE).render(
        found=found,
        headline=headline(found),
        sections=sections(found),
        most_rows=MOST_ROWS,
        ring=charts.ring(found),
        curve=charts.curve(found),
        size=size,
    )
