"""The database's schema holds the catalogue."""

from __future__ import annotations

from tests.support.project import ROOT

SCHEMA = ROOT / "services/stores/schema.sql"


def test_the_catalogue_has_at_least_24_products() -> None:
    rows = [line for line in SCHEMA.read_text().splitlines() if line.startswith("    (")]
    assert len(rows) >= 24
