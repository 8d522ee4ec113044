"""The catalogue is whole: each rule is tried, each recommendation of CIS has a rule or a reason."""

from __future__ import annotations

from tests.support.cis_cases import VARIANTS
from twinstack.cis.catalogue import RULES
from twinstack.cis.known import UNDECIDED

#: Sections 4 and 5 of CIS Docker Benchmark v1.6.0, v1.7.0 and v1.8.0 count thus far.
RECOMMENDATIONS = [f"4.{place}" for place in range(1, 13)] + [
    f"5.{place}" for place in range(1, 33)
]


def test_every_rule_has_a_bad_variant():
    assert set(RULES) - {bad.rule for bad in VARIANTS} == set()


def test_every_recommendation_has_a_rule_or_a_reason():
    ruled, untold = list(RULES), [other.number for other in UNDECIDED]
    told = [number for number in ruled + untold if not number.startswith("T")]
    assert sorted(told) == sorted(RECOMMENDATIONS)  # each once
