"""A traffic report as text of a given width. Pure."""

from __future__ import annotations

from twinstack.observe.table import section_text
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.sections import headline, sections
from twinstack.printable import visible


def text(report: TrafficReport, width: int = 80) -> str:
    """Write the report. Units: columns of the terminal."""
    head = "\n".join([headline(report), *(f"! {visible(note)}" for note in report.notes)])
    return "\n\n".join([head, *(section_text(table, width) for table in sections(report))])
