"""The gate notices a Dockerfile that installs what is needless, stale or unverified."""

from __future__ import annotations

from tests.support.cis_cases import variants_of
from tests.support.cis_edits import Bad, assert_noticed


@variants_of("4.3 4.7 4.11")
def test_a_bad_variant_is_noticed(bad: Bad):
    assert_noticed(bad)
