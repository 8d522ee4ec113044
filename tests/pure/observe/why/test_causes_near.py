"""What is wrong at the source is named first."""

from __future__ import annotations

from dataclasses import replace

from tests.support.why_evidence import (
    found,
    sound,
)
from twinstack.observe.why.explanation import explain


def test_a_name_that_leads_elsewhere_does_not_pass_even_if_somebody_answers():
    assert found(replace(sound(), hosts_entry="10.0.0.99")).cause == "name-wrong"
    assert found(replace(sound(), hosts_entry=None)).cause == "name-unknown"
    assert explain(replace(sound(), hosts_entry=None, named=False)).passes
