"""Who may reach what: by the declaration, by the model, and by the rules that are written of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.core_cases import edited_plan, planned
from tests.support.policy_cases import generated, oracle
from twinstack.model.plan import HOST, OUTSIDE, Plan, resolve
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import parse
from twinstack.policy.chains import chains
from twinstack.policy.permissions import permissions
from twinstack.policy.trace import packet_of, trace
from twinstack.policy.truth_table import Cell, cells

WORLDS: tuple[WorldName, ...] = ("net", "docker")
POLICIES = (":FORWARD ACCEPT [0:0]", ":INPUT ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]")


def lines(plan: Plan, world: WorldName) -> tuple[str, ...]:
    hooks = [chain.hook(plan.mark) for chain in chains(plan, world)]
    jumps = [hook.jump for hook in hooks if hook.jump]
    return (*POLICIES, *jumps, *(line for hook in hooks for line in hook.lines))


def opened(plan: Plan, world: WorldName) -> set[tuple[str, str, str, int]]:
    return {(c.source, c.destination, c.protocol, c.port) for c in cells(plan, world) if c.open}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_every_pair_is_asked_by_every_protocol(shape: str, world: WorldName):
    plan = planned(shape)
    asked = {(one.source, one.destination) for one in cells(plan, world)}
    names = {one.name for one in plan.replicas}
    for source in names | {HOST, OUTSIDE}:
        assert {(source, other) for other in names - {source}} <= asked
    for name in names:
        assert {(name, HOST), (name, OUTSIDE)} <= asked
    kinds = {one.protocol for one in cells(plan, world)}
    assert kinds == {"tcp", "udp", "icmp", "tcp6", "icmp6"}
    assert {22, 9999} <= {one.port for one in cells(plan, world) if one.protocol == "tcp"}
    assert len(set(cells(plan, world))) == len(cells(plan, world))


@pytest.mark.parametrize("world", WORLDS)
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["flat", "tiered"]))
def test_the_model_opens_what_is_declared_and_nothing_else(world: WorldName, seed: int, shape: str):
    written = generated(seed)
    plan = resolve(parse(written), shape)
    assert opened(plan, world) == oracle(written, plan, world)


@pytest.mark.parametrize("world", WORLDS)
@settings(max_examples=6, deadline=None)
@example(271, "flat")  # the world may ask a service whose only port is this host's own
@given(st.integers(0, 10**6), st.sampled_from(["flat", "tiered"]))
def test_the_rules_let_pass_what_the_model_opens(world: WorldName, seed: int, shape: str):
    plan = resolve(parse(generated(seed)), shape)
    there = lines(plan, world)
    for cell in cells(plan, world):
        packet = packet_of(cell, plan, world)
        if packet is not None:
            found = trace(there, packet)
            assert (found.passes, found.unread) == (cell.open, ()), cell


def test_icmp_and_ipv6_are_open_to_nobody():
    for world in WORLDS:
        closed = [one for one in cells(planned(), world) if one.protocol not in {"tcp", "udp"}]
        assert closed
        assert not [one for one in closed if one.open]


def test_each_permission_says_in_words_what_it_opens():
    for one in permissions(planned(), "net"):
        assert str(one.port) in one.sentence
        if one.source not in {"world", "host"}:
            assert one.source in one.sentence
        assert "(flows)" in one.sentence or "(egress)" in one.sentence


@pytest.mark.parametrize("shape", ["flat", "tiered"])
@pytest.mark.parametrize("world", WORLDS)
def test_every_rule_has_a_sentence_and_no_two_rules_are_alike(shape: str, world: WorldName):
    plan = planned(shape)
    for chain in chains(plan, world):
        texts = [rule.text for rule in chain.rules]
        assert len(set(texts)) == len(texts)
        assert all(rule.sentence and "\n" not in rule.sentence for rule in chain.rules)
        assert all(plan.mark in rule.text for rule in chain.rules)


def test_rules_grow_with_the_replicas_and_not_with_their_pairs():
    def count(replicas: int) -> int:
        plan = edited_plan(lambda d: d["services"]["product-service"].update(replicas=replicas))
        return sum(len(chain.rules) for chain in chains(plan, "net"))

    assert count(43) - count(33) == count(33) - count(23)
    assert count(43) - count(33) <= 10 * 6


def test_a_store_goes_out_to_nobody_and_its_tier_has_no_way_out():
    plan = planned("tiered")
    assert not [
        one
        for one in permissions(plan, "net")
        if one.source == "redis-cache" and one.destination == OUTSIDE
    ]
    assert [segment.name for segment in plan.segments if segment.internal] == ["database"]
    assert not [segment for segment in planned("flat").segments if segment.internal]


def test_the_edge_is_limited_for_each_client_and_may_be_left_so():
    limited = [rule.text for chain in chains(planned(), "net") for rule in chain.rules]
    (rule,) = (one for one in limited if "hashlimit" in one)
    assert "--hashlimit-above 1000/sec --hashlimit-burst 2000 --hashlimit-mode srcip" in rule
    lifted = replace(planned(), rate_limit=None)
    assert not [r for c in chains(lifted, "net") for r in c.rules if "hashlimit" in r.text]


def test_a_stranger_s_rule_that_cannot_be_read_is_told():
    cell = next(one for one in cells(planned(), "net") if one.open and one.source == "nginx-lb")
    packet = packet_of(cell, planned(), "net")
    assert packet is not None
    strange = "-A FORWARD -m u32 --u32 0x0=0x1 -j DROP"
    found = trace((*POLICIES, strange, *lines(planned(), "net")), packet)
    assert found.passes
    assert found.unread == (strange,)


def test_a_turned_match_is_followed():
    cell = Cell("nginx-lb", "redis-cache", "10.0.0.50", "tcp", 6379, False, "")
    packet = packet_of(cell, planned(), "net")
    assert packet is not None
    assert trace((*POLICIES, "-A FORWARD ! -s 10.0.0.10/32 -j DROP"), packet).passes
    assert not trace((*POLICIES, "-A FORWARD ! -s 10.0.0.11/32 -j DROP"), packet).passes
