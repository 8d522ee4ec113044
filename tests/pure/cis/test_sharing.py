"""The gate notices what a container shares with the host or another."""

from __future__ import annotations

from tests.support.cis_cases import variants_of
from tests.support.cis_edits import Bad, assert_noticed


@variants_of("5.6 5.8 5.9 5.10 5.14 5.16 5.17 5.20 5.21 5.30 5.31 5.32 T9 T12")
def test_a_bad_variant_is_noticed(bad: Bad):
    assert_noticed(bad)
