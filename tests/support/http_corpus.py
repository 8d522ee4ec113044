"""The corpus of hostile HTTP: every family of vectors."""

from __future__ import annotations

from tests.support import http_bodies, http_heads
from tests.support.http_vectors import Vector


def corpus() -> list[Vector]:
    """Give all vectors, always the same."""
    families = (*http_heads.FAMILIES, *http_bodies.FAMILIES)
    return [vector for family in families for vector in family()]
