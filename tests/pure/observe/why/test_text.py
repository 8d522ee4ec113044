"""An explanation fits a terminal, and says its verdict first."""

from __future__ import annotations

import pytest

from tests.support.why_evidence import MUTE, REFUSED, SILENT, sound, with_destination
from twinstack.observe.why.evidence import Evidence
from twinstack.observe.why.explanation import explain
from twinstack.observe.why.text import WIDTH, text


@pytest.mark.parametrize(
    "evidence",
    [sound(), sound(**SILENT), sound(**MUTE), with_destination(sound(**REFUSED), listeners=())],
)
def test_every_line_fits_80_columns(evidence: Evidence):
    assert max(map(len, text(explain(evidence)).splitlines())) <= WIDTH


def test_the_verdict_is_first_and_the_place_where_it_stops_is_marked():
    lines = text(explain(with_destination(sound(**REFUSED), listeners=()))).splitlines()
    assert lines[0] == "order-service to postgres-db in the net world: does not pass"
    assert [line for line in lines if line.startswith("X ")] == ["X postgres-db (process)"]
    assert any(line.startswith("  fix: invoke net.restart postgres-db") for line in lines)
