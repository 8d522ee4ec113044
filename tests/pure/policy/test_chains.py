"""The chains of the policy, followed rule by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.core_cases import edited_plan, planned
from tests.support.policy_cases import filter_lines, generated
from twinstack.model.plan import resolve
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import parse
from twinstack.namespaces import rules
from twinstack.policy.chains import chains
from twinstack.policy.trace import FirstPacket, fits, matches_of, packet_of, trace
from twinstack.policy.truth_table import cells

WORLDS: tuple[WorldName, ...] = ("net", "docker")


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


def test_the_edge_limits_the_rate_and_number_of_a_clients_connections_or_neither():
    limited = [rule.text for chain in chains(planned(), "net") for rule in chain.rules]
    (rule,) = (text for text in limited if "hashlimit" in text)
    assert "--hashlimit-above 1000/sec --hashlimit-burst 2000 --hashlimit-mode srcip" in rule
    (rule,) = (text for text in limited if "connlimit" in text)
    assert "--connlimit-above 1000 --connlimit-mask 32 --connlimit-saddr " in rule
    lifted = replace(planned(), rate_limit=None)
    rest = [rule.text for chain in chains(lifted, "net") for rule in chain.rules]
    assert not [text for text in rest if "hashlimit" in text or "connlimit" in text]


@pytest.mark.parametrize("world", WORLDS)
@settings(max_examples=6, deadline=None)
@example(271, "flat")  # the world may ask a service whose only port is this host's own
@given(st.integers(0, 10**6), st.sampled_from(["flat", "tiered"]))
def test_the_rules_accept_what_the_truth_table_opens(world: WorldName, seed: int, shape: str):
    plan = resolve(parse(generated(seed)), shape)
    lines = filter_lines(plan, world)
    for cell in cells(plan, world):
        packet = packet_of(cell, plan, world)
        if packet is not None:
            assert trace(lines, packet).passes == cell.open, cell
    ssh = FirstPacket("FORWARD", "10.0.0.10", "10.0.0.20", "tcp", 22)
    ours = [line for line in lines if line.startswith("-A ")]
    matches = [match for line in ours for match in matches_of(line)]
    assert all(fits(option, value, ssh) is not None for _, option, value in matches)


def left_to_others() -> set[str]:
    """Give the link patterns that `--no-policy` leaves to the rules of others."""
    hooks = rules.hooks(replace(planned(), policy=False))
    (forward,) = (hook for hook in hooks if hook.builtin == "FORWARD")
    return {rule.split()[3] for rule in forward.rules if rule.endswith("-j RETURN")}


@pytest.mark.parametrize("world", ["net", "docker"])
def test_egress_enters_no_link_that_no_policy_leaves_to_others(world: WorldName):
    plan = planned()
    segment = plan.segments[0]
    bridge = segment.bridge if world == "net" else segment.docker_bridge
    client = str(plan.replica("product-service").address_in(world))
    lines = filter_lines(plan, world)

    def passes(link: str) -> bool:
        return trace(
            lines, FirstPacket("FORWARD", client, "9.9.9.9", "tcp", 443, bridge, link)
        ).passes

    assert passes("eth0")
    assert {"docker+", "wg+", "tun+", "tap+", "tailscale+"} <= left_to_others()
    assert {link for link in left_to_others() if passes(link.replace("+", "0"))} == set()
