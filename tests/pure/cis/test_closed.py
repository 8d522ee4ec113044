"""The gate notices what no rule looks at, and an open network."""

from __future__ import annotations

from tests.support.cis_cases import variants_of
from tests.support.cis_edits import Bad, assert_noticed


@variants_of("T1 T10")
def test_a_bad_variant_is_noticed(bad: Bad):
    assert_noticed(bad)
