"""Only what was answered or accepted passes, and what is not explained is said to be so."""

from __future__ import annotations

import pytest

from tests.support.why_evidence import (
    PLACES,
    SILENT,
    found,
    sound,
)
from twinstack.observe.why.explanation import explain


def test_a_sound_attempt_passes_by_its_flow():
    result = explain(sound())
    assert (result.passes, result.cause) == (True, "")
    assert "order-service may connect to postgres-db on tcp port 5432 (flows)" in result.sentence
    assert [hop.place for hop in result.hops] == [
        "order-service",
        *PLACES,
        "postgres-db (process)",
    ]


@pytest.mark.parametrize(
    ("outcome", "passes"),
    [
        ("answered", True),
        ("open", True),
        ("connected", False),
        ("refused", False),
        ("silent", False),
        ("failed", False),
    ],
)
def test_only_what_was_answered_or_accepted_passes(outcome: str, passes: bool):
    assert explain(sound(outcome=outcome)).passes is passes


def test_an_answer_of_500_does_not_pass():
    evidence = sound(status=503, said='{"status":"down"}')
    assert found(evidence).cause == "unwell"
    assert explain(sound(status=404)).passes


def test_what_is_not_explained_is_said_to_be_so():
    result = found(sound(**SILENT))
    assert (result.cause, result.is_known) == ("unknown", False)
    assert "no cause was found" in result.sentence
