"""The gate notices a secret where it can be read."""

from __future__ import annotations

from tests.support.cis_cases import variants_of
from tests.support.cis_edits import Bad, assert_noticed


@variants_of("4.10 T5 T6")
def test_a_bad_variant_is_noticed(bad: Bad):
    assert_noticed(bad)
