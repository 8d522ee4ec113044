"""What the registry says of instances that did not register themselves as they are declared."""

from __future__ import annotations

import pytest

from tests.support.core_cases import planned
from twinstack.drill.contents import registered

PLAN = planned("flat")


def entry(**more: object) -> dict[str, object]:
    own = {"instance": "order-service", "address": "10.0.0.40", "port": 5000, "expires_in_s": 5.9}
    return {**own, **more}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {}),
        ({"port": 5001}, {"registered order-service": "10.0.0.40:5001"}),
        ({"address": "10.0.0.41"}, {"registered order-service": "10.0.0.41:5000"}),
        ({"instance": "order-service-9"}, {"registered order-service-9": "10.0.0.40:5000"}),
        (
            {"expires_in_s": 290.0},
            {"lease of order-service": "longer than any instance asks for"},
        ),
    ],
)
def test_an_entry_that_no_instance_made_is_told(more: dict[str, object], expected: dict[str, str]):
    answer = {"services": {"order-service": [entry(**more)]}}
    assert dict(registered(PLAN, "net", answer)) == expected


def test_a_registry_that_does_not_answer_tells_nothing():
    assert dict(registered(PLAN, "net", {})) == {}
