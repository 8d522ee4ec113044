"""The rules of a policy, for a reader."""

from __future__ import annotations

from tests.support.core_cases import planned
from twinstack.policy import show
from twinstack.policy.chains import chains


def test_every_permission_and_rule_is_shown_with_its_sentence():
    text = show.text(planned(), "net")
    rules = [rule for chain in chains(planned(), "net") for rule in chain.rules]
    assert [shown.sentence for shown in show.shown(planned(), "net").rules] == [
        r.sentence for r in rules
    ]
    assert text.startswith("net: everything is denied but this:\n  anyone outside")
    assert "  # order-service may connect to redis-cache on tcp port 6379 (flows)\n" in text
    assert "\n  -s 10.0.0.40/32 -j ACCEPT\n" in text
    assert "--comment" not in text


def test_without_a_policy_only_permissions_are_shown():
    plan = planned(policy=False)
    assert show.shown(plan, "net").rules == ()
    assert "--no-policy" in show.text(plan, "net")
