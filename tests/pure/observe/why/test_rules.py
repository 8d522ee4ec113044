"""A rule is shown with what it stands for, and a foreign one with the command that removes it."""

from __future__ import annotations

from tests.support.why_evidence import PLAN, REQUEST
from twinstack.observe.why import rules
from twinstack.observe.why.evidence import MetRule
from twinstack.policy.chains import chains


def met(rule: str, where: str = "host", **more: object) -> MetRule:
    given = {"table": "filter", "chain": "FORWARD", "verdict": "drop", "headers": REQUEST}
    return MetRule(where=where, rule=rule, **(given | more))  # type: ignore[arg-type]


def test_every_rule_of_the_policy_is_found_again_by_its_text():
    for chain in chains(PLAN, "net"):
        for rule in chain.rules:
            text = f"-A {chain.name} {rule.text}"
            assert rules.sentence(text, PLAN, "net")
            assert rules.is_ours(met(text), PLAN)


def test_a_rule_of_others_stands_for_nothing():
    text = "-A FORWARD -d 10.0.0.60/32 -j DROP"
    assert rules.sentence(text, PLAN, "net") == ""
    assert not rules.is_ours(met(text), PLAN)


def test_the_command_removes_exactly_that_rule_where_it_is():
    text = '-A FORWARD -d 10.0.0.60/32 -m comment --comment "a lab" -j DROP'
    assert rules.removal(met(text), "net") == (
        'iptables -t filter -D FORWARD -d 10.0.0.60/32 -m comment --comment "a lab" -j DROP'
    )
    inside = rules.removal(met("-A INPUT -j DROP", "redis-cache"), "docker")
    assert inside == "invoke docker.exec redis-cache -- iptables -t filter -D INPUT -j DROP"
    assert rules.removal(met(""), "net") == "iptables -t filter -P FORWARD ACCEPT"


def test_a_rule_is_shown_without_its_comment():
    text = '-A FORWARD -d 10.0.0.60/32 -m comment --comment "a lab" -j DROP'
    assert rules.shown(met(text)) == "filter FORWARD -d 10.0.0.60/32 -j DROP"
    assert rules.shown(met("")) == "filter FORWARD: the policy of the chain"
