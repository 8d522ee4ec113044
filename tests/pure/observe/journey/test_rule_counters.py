"""Rules that counted are kept when they could have matched the request, and are reachable."""

from __future__ import annotations

from tests.support.journey_cases import EDGE
from twinstack.observe.journey.report import RuleCount
from twinstack.observe.journey.rule_counters import counted, relevant

BEFORE = """*nat
:OUTPUT ACCEPT [0:0]
[1:60] -A OUTPUT -j OURS
[1:60] -A OURS -d 10.0.0.10/32 -p tcp -m tcp --dport 80 -j MASQUERADE
[0:0] -A OURS ! -d 10.0.0.0/24 -j ACCEPT
[0:0] -A OURS -i elsewhere -j ACCEPT
[0:0] -A OURS ! -o br -j ACCEPT
[0:0] -A THEIRS -j DROP
COMMIT
"""
AFTER = (
    BEFORE.replace("[1:60]", "[3:180]")
    .replace("[0:0] -A OURS", "[5:300] -A OURS")
    .replace("[0:0] -A THEIRS", "[9:9] -A THEIRS")
)


def test_rules_that_counted_are_those_that_could_have_seen_the_request():
    rules = counted(BEFORE, AFTER)
    assert [rule.packets for rule in rules] == [2, 2, 5, 5, 5, 9]
    assert counted(AFTER, AFTER) == ()
    kept = relevant(rules, {EDGE}, {"br", "eth-n"})
    assert [(rule.chain, rule.packets, rule.bytes) for rule in kept] == [
        ("OUTPUT", 2, 120),
        ("OURS", 2, 120),
        ("OURS", 5, 300),
    ]
    assert kept[-1].rule.startswith("! -o br")


def test_a_rule_for_interfaces_that_begin_alike_is_for_each_of_them():
    """As iptables(8) has it: "+" at the end stands for any rest."""
    rules = ["-i br-+", "-o +", "! -o br-+", "-i br-app+", "-i br-", "-i eth+"]
    counts = [RuleCount("filter", "FORWARD", f"{rule} -j ACCEPT", 1, 60) for rule in rules]
    kept = relevant(counts, {EDGE}, {"br-app"})
    assert [count.rule.removesuffix(" -j ACCEPT") for count in kept] == rules[:4]
