"""What the declared flows and egress open."""

from __future__ import annotations

from tests.support.core_cases import planned
from twinstack.model.plan import OUTSIDE
from twinstack.policy.permissions import permissions


def test_a_permission_says_in_words_what_it_opens():
    for granted in permissions(planned(), "net"):
        assert str(granted.port) in granted.sentence
        if granted.source not in {"world", "host"}:
            assert granted.source in granted.sentence
        assert "(flows)" in granted.sentence or "(egress)" in granted.sentence


def test_a_store_and_the_gateway_have_no_egress_and_the_stores_tier_no_way_out():
    plan = planned("tiered")
    assert ("redis-cache", OUTSIDE) not in {
        (granted.source, granted.destination) for granted in permissions(plan, "net")
    }
    assert ("api-gateway", OUTSIDE) not in {
        (granted.source, granted.destination) for granted in permissions(plan, "docker")
    }
    assert [segment.name for segment in plan.segments if segment.internal] == ["database"]
    assert not [segment for segment in planned("flat").segments if segment.internal]
