"""The gate notices a Dockerfile, or a service, that makes an image badly."""

from __future__ import annotations

from tests.support.cis_cases import variants_of
from tests.support.cis_edits import Bad, assert_noticed


@variants_of("4.1 4.2 4.6 4.8 4.9 5.7 T7 T11")
def test_a_bad_variant_is_noticed(bad: Bad):
    assert_noticed(bad)
