"""What is made by hand in plain commands is seen as if it were ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.connection_cases import PLAN
from tests.support.core_cases import satisfied
from twinstack.course import by_hand
from twinstack.namespaces.facts import NetFacts
from twinstack.namespaces.steps import Bridge, Rules, VethPair, network_steps
from twinstack.reconcile import diff

STEPS = network_steps(PLAN)
FACTS = satisfied(STEPS)


def unmarked(facts: NetFacts) -> NetFacts:
    """Give facts as commands without marks and comments leave them."""
    links = {
        name: replace(link, alias=None, group=0, autoconfigures_ipv6=True)
        for name, link in facts.links.items()
    }
    namespaces = {
        name: replace(
            namespace,
            mark=None,
            links={
                key: replace(link, autoconfigures_ipv6=True)
                for key, link in namespace.links.items()
            },
        )
        for name, namespace in facts.namespaces.items()
    }
    rules = {
        table: tuple(by_hand._COMMENT.sub("", line) for line in lines)
        for table, lines in facts.owned.rules.items()
    }
    owned = replace(facts.owned, held=frozenset(), rules=rules)
    return replace(facts, links=links, namespaces=namespaces, owned=owned)


def test_without_marks_everything_would_differ_and_seen_by_hand_nothing_does():
    made = unmarked(FACTS)
    assert len(diff(STEPS, made)) > 20
    assert diff(STEPS, by_hand.seen(made, PLAN, STEPS)) == ()


def test_what_carries_our_mark_is_seen_as_it_is():
    assert diff(STEPS, by_hand.seen(FACTS, PLAN, STEPS)) == ()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_no_plain_command_carries_a_mark(step):
    for command in by_hand.plain(step.commands):
        assert PLAN.mark not in command.replace("--nflog-prefix", "").replace(
            f'"{PLAN.mark} net"', ""
        )
        assert "addrgenmode" not in command
        assert " group " not in command


def test_a_pair_is_made_in_five_commands():
    step = next(step for step in STEPS if isinstance(step, VethPair) and not step.hairpin)
    start, inside = f"ip link add name {step.host_end}", f"ip -n {step.namespace}"
    assert by_hand.plain(step.commands) == (
        f"{start} type veth peer name eth0 netns {step.namespace}",
        f"ip link set dev {step.host_end} master {step.bridge} up",
        f"{inside} link set dev eth0 up",
        f"{inside} address add {step.address} dev eth0",
        f"{inside} route add default via {step.gateway}",
    )


def test_only_the_commands_with_a_word_are_the_students():
    step = next(step for step in STEPS if isinstance(step, VethPair) and not step.hairpin)
    (command,) = by_hand.plain(step.commands, only=(" master ",))
    assert " master " in command


def test_on_another_host_each_command_enters_it():
    step = next(step for step in STEPS if isinstance(step, Bridge))
    typed = by_hand.solution([step], enter="nsenter --net=x")
    assert typed
    assert all(command.startswith("nsenter --net=x ip ") for command in typed)


def test_a_rule_that_differs_stays_as_it_is():
    step = next(step for step in STEPS if isinstance(step, Rules) and step.hook.jump)
    table = step.hook.table
    other = f"-A {step.hook.chain} -s 192.0.2.1/32 -j ACCEPT"
    rules = {**FACTS.owned.rules, table: (*FACTS.owned.rules[table], other)}
    facts = replace(FACTS, owned=replace(FACTS.owned, rules=rules))
    assert other in by_hand.seen(facts, PLAN, STEPS).owned.rules[table]


def written_as(rule: str) -> bool:
    """Tell whether a rule of port 8080's is taken for the declared one."""
    step = next(step for step in STEPS if step.name == "rules nat OUTPUT")
    assert isinstance(step, Rules)
    line = f"-A {step.hook.chain} {rule} -j DNAT --to-destination 10.0.0.10:80"
    others = (each for each in FACTS.owned.rules["nat"] if each not in step.hook.lines)
    rules = {**FACTS.owned.rules, "nat": (*others, line)}
    facts = replace(FACTS, owned=replace(FACTS.owned, rules=rules))
    return step.difference(by_hand.seen(facts, PLAN, STEPS)) is None


def test_the_order_of_a_rules_matches_is_the_students_own():
    assert written_as("-p tcp -m addrtype --dst-type LOCAL -m tcp --dport 8080")
    assert written_as("-p tcp -m tcp --dport 8080 -m addrtype --dst-type LOCAL")
    assert written_as(
        '-p tcp -m tcp --dport 8080 -m comment --comment "my -m own" -m addrtype --dst-type LOCAL'
    )
    assert not written_as("-p tcp -m tcp --dport 8080 -m addrtype ! --dst-type LOCAL")
    assert not written_as("-p tcp -m tcp --dport 8081 -m addrtype --dst-type LOCAL")
    assert not written_as("-p tcp -m tcp --dport 8080")


def test_the_older_name_of_a_match_is_the_same_match():
    rule = "-A X -o br-app -m state --state RELATED,ESTABLISHED -j ACCEPT"
    newer = "-A X -o br-app -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    assert by_hand._same(rule) == by_hand._same(newer)


def test_a_link_of_another_kind_is_not_the_one():
    step = next(step for step in STEPS if isinstance(step, Bridge))
    link = replace(FACTS.links[step.link], kind="dummy")
    facts = replace(FACTS, links={**FACTS.links, step.link: link})
    assert by_hand.made_otherwise(step, facts) == "is a dummy, not a bridge"
    assert by_hand.made_otherwise(step, FACTS) is None


def test_a_second_jump_is_one_too_many():
    step = next(step for step in STEPS if isinstance(step, Rules) and step.hook.jump)
    rules = FACTS.owned.rules
    more = {**rules, step.hook.table: (*rules[step.hook.table], step.hook.jump)}
    facts = replace(FACTS, owned=replace(FACTS.owned, rules=more))
    expected = f"the jump from {step.hook.builtin} is there twice"
    assert by_hand.made_otherwise(step, facts) == expected
    assert by_hand.made_otherwise(step, FACTS) is None
