"""The gate notices a privilege, or a missing limit."""

from __future__ import annotations

from tests.support.cis_cases import variants_of
from tests.support.cis_edits import Bad, assert_noticed


@variants_of(
    "5.2 5.3 5.4 5.5 5.11 5.12 5.13 5.15 5.18 5.19 5.22 5.23 5.24 5.25 5.26 5.27 5.29 T2 T3 T4 T8"
)
def test_a_bad_variant_is_noticed(bad: Bad):
    assert_noticed(bad)
