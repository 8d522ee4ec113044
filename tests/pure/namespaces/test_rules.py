"""The rules are in chains of our own, bear our mark, and do what the design says: no more."""

from __future__ import annotations

import random
import re
import shlex
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.core_cases import edited_plan, planned
from tests.support.iptables_restore import restored
from twinstack.linux import iptables
from twinstack.model.plan import Plan
from twinstack.namespaces import rules

SHAPES = ["flat", "tiered"]
Tables = dict[str, tuple[str, ...]]

#: A host of somebody else's, with Docker on it, and an instance whose name begins like ours.
STRANGERS: Tables = {
    "raw": (":PREROUTING ACCEPT [9:540]", ":OUTPUT ACCEPT [0:0]"),
    "nat": (
        ":PREROUTING ACCEPT [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        ":POSTROUTING ACCEPT [0:0]",
        ":DOCKER - [0:0]",
        ":TS-main2-OUTPUT - [0:0]",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
        '-A OUTPUT -m comment --comment "twinstack:main2" -j TS-main2-OUTPUT',
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        "-A DOCKER -i docker0 -j RETURN",
        '-A TS-main2-OUTPUT -m comment --comment "twinstack:main2" -j RETURN',
    ),
    "filter": (
        ":INPUT ACCEPT [0:0]",
        ":FORWARD DROP [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        ":DOCKER-USER - [0:0]",
        "-A FORWARD -j DOCKER-USER",
        '-A FORWARD -m comment --comment "not twinstack:main at all" -j ACCEPT',
        "-A DOCKER-USER -j RETURN",
    ),
}


@dataclass(frozen=True)
class Packet:
    """What a rule may ask of a packet."""

    source: str = "192.168.7.7"
    destination: str = "198.51.100.9"
    came_by: str = "eth0"
    leaves_by: str = "eth0"
    port: int = 80
    protocol: str = "tcp"
    state: frozenset[str] = frozenset({"NEW"})
    for_the_host: bool = False


def _matches(words: list[str], packet: Packet) -> bool:
    values = dict(zip(words[::2], words[1::2], strict=True))

    def link(pattern: str, name: str) -> bool:
        return name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern

    checks = {
        "-s": lambda v: IPv4Address(packet.source) in IPv4Network(v),
        "-d": lambda v: IPv4Address(packet.destination) in IPv4Network(v),
        "-i": lambda v: link(v, packet.came_by),
        "-o": lambda v: link(v, packet.leaves_by),
        "-p": lambda v: v == packet.protocol,
        "--dport": lambda v: int(v) == packet.port,
        "--dst-type": lambda v: v == "LOCAL" and packet.for_the_host,
        "--ctstate": lambda v: bool(set(v.split(",")) & packet.state),
    }
    return all(checks[key](value) for key, value in values.items())


def verdict(plan: Plan, table: str, builtin: str, packet: Packet) -> str | None:
    """Give the target of the first rule of ours that matches, or None."""
    (hook,) = (hook for hook in rules.hooks(plan) if (hook.table, hook.builtin) == (table, builtin))
    for rule in hook.rules:
        match, _, target = rule.rpartition(" -j ")
        match = re.sub(r'-m comment --comment "[^"]*"', "", match)
        match = re.sub(r"-m \w+", "", match)
        if _matches(shlex.split(match), packet):
            return target
    return None


@pytest.fixture(params=[(shape, instance) for shape in SHAPES for instance in ("main", "other")])
def plan(request: pytest.FixtureRequest) -> Plan:
    return planned(*request.param)


def test_every_rule_and_jump_carries_the_mark(plan: Plan):
    for hook in rules.hooks(plan):
        assert hook.rules
        for rule in (*hook.rules, *([hook.jump] if hook.jump else [])):
            comments = re.findall(r'-m comment --comment "([^"]*)"', rule)
            assert len(comments) == 1
            assert comments[0].split()[0] == plan.mark


def test_no_comment_holds_what_a_shell_or_a_line_could_break_on(plan: Plan):
    for hook in rules.hooks(plan):
        for rule in (*hook.lines, *([hook.jump] if hook.jump else [])):
            assert not set(rule) & set("'\n\r\t\\`$")
            (comment,) = re.findall(r'--comment "([^"]*)"', rule)
            assert len(comment) < 256
            assert shlex.split(rule)[shlex.split(rule).index("--comment") + 1] == comment


def test_chains_are_our_own_and_short_enough(plan: Plan):
    for hook in rules.hooks(plan):
        assert hook.chain.startswith("TS-")
        assert len(hook.chain) <= 28
        assert all(line.startswith(f"-A {hook.chain} ") for line in hook.lines)


def test_every_bridge_is_guarded_from_the_hosts_loopback(plan: Plan):
    for segment, address in product(plan.segments, ("127.0.0.1", "127.255.0.9")):
        packet = Packet(came_by=segment.bridge, destination=address, port=6379)
        assert verdict(plan, "raw", "PREROUTING", packet) == "DROP"


def test_the_guard_lets_all_other_traffic_pass(plan: Plan):
    own = Packet(source="127.0.0.1", destination="127.0.0.1", came_by="lo")
    assert verdict(plan, "raw", "PREROUTING", own) is None
    bridge = plan.segments[0].bridge
    assert verdict(plan, "raw", "PREROUTING", Packet(came_by=bridge)) is None


def test_nothing_is_masqueraded_between_our_own_bridges(plan: Plan):
    for source, destination in product(plan.replicas, plan.replicas):
        packet = Packet(
            source=str(source.address),
            destination=str(destination.address),
            leaves_by=plan.segment(destination.segment).bridge,
            port=destination.port,
        )
        assert verdict(plan, "nat", "POSTROUTING", packet) == "RETURN"


def test_what_leaves_for_the_internet_is_masqueraded(plan: Plan):
    for replica in plan.replicas:
        packet = Packet(source=str(replica.address), port=443)
        assert verdict(plan, "nat", "POSTROUTING", packet) == "MASQUERADE"


def test_what_is_not_ours_is_never_masqueraded(plan: Plan):
    assert verdict(plan, "nat", "POSTROUTING", Packet()) is None
    assert verdict(plan, "nat", "POSTROUTING", Packet(source="172.30.0.10")) is None


def test_an_outside_client_keeps_its_address(plan: Plan):
    edge = plan.replica("nginx-lb")
    packet = Packet(
        destination=str(edge.address),
        leaves_by=plan.segment(edge.segment).bridge,
        state=frozenset({"NEW", "DNAT"}),
    )
    assert verdict(plan, "nat", "POSTROUTING", packet) == "RETURN"


def test_replies_to_localhost_and_neighbours_go_by_way_of_the_host(plan: Plan):
    edge = plan.replica("nginx-lb")
    bridge = plan.segment(edge.segment).bridge
    local = Packet(source="127.0.0.1", destination=str(edge.address), leaves_by=bridge)
    assert verdict(plan, "nat", "POSTROUTING", local) == "MASQUERADE"
    neighbour = replace(
        local, source=str(plan.replica("api-gateway").address), state=frozenset({"NEW", "DNAT"})
    )
    assert verdict(plan, "nat", "POSTROUTING", neighbour) == "MASQUERADE"


@pytest.mark.parametrize("builtin", ["PREROUTING", "OUTPUT"])
def test_the_published_port_leads_to_the_edge_from_everywhere(plan: Plan, builtin: str):
    edge = plan.replica("nginx-lb")
    packet = Packet(destination="192.0.2.1", port=8080, for_the_host=True)
    assert verdict(plan, "nat", builtin, packet) == f"DNAT --to-destination {edge.address}:80"
    for other in (
        replace(packet, port=8081),
        replace(packet, for_the_host=False),
        replace(packet, protocol="udp"),
    ):
        assert verdict(plan, "nat", builtin, other) is None


def test_a_bound_port_is_published_at_its_address_only():
    plan = edited_plan(lambda d: d["host_ports"][0].update(bind="192.0.2.1"))
    bound = Packet(destination="192.0.2.1", port=8080, for_the_host=True)
    assert "DNAT" in str(verdict(plan, "nat", "PREROUTING", bound))
    elsewhere = replace(bound, destination="192.0.2.2")
    assert verdict(plan, "nat", "PREROUTING", elsewhere) is None


def test_published_ports_of_the_docker_world_have_no_rule():
    nat = (hook for hook in rules.hooks(planned()) if hook.table == "nat")
    texts = "\n".join(line for hook in nat for line in hook.lines)
    assert "8080" in texts
    assert "8088" not in texts
    assert "3000" not in texts


@pytest.mark.parametrize("shape", SHAPES)
def test_without_a_policy_our_own_is_accepted_where_others_drop(shape: str):
    plan = planned(shape, policy=False)
    bridges = [segment.bridge for segment in plan.segments]
    for source, destination in product(bridges, bridges):
        packet = Packet(came_by=source, leaves_by=destination)
        assert verdict(plan, "filter", "FORWARD", packet) == "ACCEPT"
    for bridge in bridges:
        out = Packet(came_by=bridge, leaves_by="eth0")
        reply = Packet(leaves_by=bridge, state=frozenset({"ESTABLISHED"}))
        published = Packet(leaves_by=bridge, state=frozenset({"NEW", "DNAT"}))
        assert {
            verdict(plan, "filter", "FORWARD", packet) for packet in (out, reply, published)
        } == {"ACCEPT"}


@pytest.mark.parametrize("shape", SHAPES)
def test_without_a_policy_foreign_bridges_are_left_to_other_rules(shape: str):
    plan = planned(shape, policy=False)
    bridge = plan.segments[0].bridge
    assert verdict(plan, "filter", "FORWARD", Packet(leaves_by=bridge)) is None
    assert verdict(plan, "filter", "FORWARD", Packet()) is None
    for foreign in ("docker0", "br-0123456789ab", "dk-app"):
        packet = Packet(came_by=bridge, leaves_by=foreign)
        assert verdict(plan, "filter", "FORWARD", packet) == "RETURN"


def test_the_forward_jump_comes_before_other_peoples_rules():
    after = restored(STRANGERS, iptables.restore_text(rules.hooks(planned()), STRANGERS))
    first = next(line for line in after["filter"] if line.startswith("-A FORWARD "))
    assert first.endswith("-j TS-main-FORWARD")


def test_restored_rules_no_longer_differ_and_foreign_ones_are_untouched(plan: Plan):
    hooks = rules.hooks(plan)
    after = restored(STRANGERS, iptables.restore_text(hooks, STRANGERS))
    assert [iptables.difference(hook, after[hook.table]) for hook in hooks] == [None] * len(hooks)
    for table, lines in STRANGERS.items():
        assert [line for line in after[table] if line in lines] == list(lines)


def test_restoring_again_adds_no_second_jump_or_rule(plan: Plan):
    hooks = rules.hooks(plan)
    once = restored(STRANGERS, iptables.restore_text(hooks, STRANGERS))
    text = iptables.restore_text(hooks, once)
    assert not [line for line in text.splitlines() if line in {hook.jump for hook in hooks}]
    assert {t: sorted(lines) for t, lines in restored(once, text).items()} == {
        t: sorted(lines) for t, lines in once.items()
    }


def test_a_table_without_a_declared_chain_is_not_named():
    hooks = tuple(hook for hook in rules.hooks(planned()) if hook.table == "filter")
    text = iptables.restore_text(hooks, STRANGERS)
    assert text.startswith("*filter\n")
    assert text.endswith("COMMIT\n")
    assert text.count("COMMIT") == 1


def test_removal_takes_exactly_ours(plan: Plan):
    before = restored(STRANGERS, iptables.restore_text(rules.hooks(plan), STRANGERS))
    after = restored(before, rules.removal_text(plan.instance, before))
    assert after == STRANGERS


def test_removal_includes_a_foreign_jump_into_our_chain():
    before = restored(STRANGERS, iptables.restore_text(rules.hooks(planned()), STRANGERS))
    before["filter"] += ("-A DOCKER-USER -i eth9 -j TS-main-FORWARD",)
    assert restored(before, rules.removal_text("main", before)) == STRANGERS


@given(st.integers(0, 10**9))
def test_removal_is_exact_in_any_order_of_rules(seed: int):
    before = restored(STRANGERS, iptables.restore_text(rules.hooks(planned()), STRANGERS))
    chance = random.Random(seed)
    shuffled = {table: tuple(chance.sample(lines, len(lines))) for table, lines in before.items()}
    after = restored(shuffled, rules.removal_text("main", shuffled))
    assert {t: sorted(lines) for t, lines in after.items()} == {
        t: sorted(lines) for t, lines in STRANGERS.items()
    }


def test_removal_of_nothing_is_no_text():
    assert rules.removal_text("main", STRANGERS) == ""
    assert rules.removal_text("main", {}) == ""


def test_removal_leaves_a_rule_that_only_mentions_our_chain():
    before = restored(STRANGERS, iptables.restore_text(rules.hooks(planned()), STRANGERS))
    spoken = '-A INPUT -m comment --comment "see -j TS-main-FORWARD there" -j ACCEPT'
    before["filter"] += (spoken,)
    assert spoken in restored(before, rules.removal_text("main", before))["filter"]


def each_line() -> list[Any]:
    return [
        pytest.param(hook, index, id=f"{hook.title}-{index}")
        for hook in rules.hooks(planned("tiered"))
        for index in range(len(hook.lines))
    ]


@pytest.mark.parametrize(("hook", "index"), each_line())
def test_a_rule_that_is_gone_or_changed_is_noticed(hook: iptables.Hook, index: int):
    present = (f":{hook.chain} - [0:0]", *([hook.jump] if hook.jump else []), *hook.lines)
    assert iptables.difference(hook, present) is None
    line = hook.lines[index]
    gone = tuple(other for other in present if other != line)
    assert str(iptables.difference(hook, gone)) == "misses 1 rule"
    target = line.rpartition(" -j ")[0]
    flipped = tuple(f"{target} -j QUEUE" if other == line else other for other in present)
    assert str(iptables.difference(hook, flipped)) == "misses 1 rule, has 1 rule too many"
    assert iptables.difference(hook, (*present, line)) is not None


def test_a_lost_jump_or_chain_or_order_is_noticed():
    hook = next(hook for hook in rules.hooks(planned("tiered")) if hook.builtin == "FORWARD")
    present = (f":{hook.chain} - [0:0]", hook.jump, *hook.lines)
    assert iptables.difference(hook, ()) == f"chain {hook.chain} is absent"
    lost = (present[0], *hook.lines)
    assert iptables.difference(hook, lost) == "the jump from FORWARD is absent"
    backwards = (*present[:2], *reversed(hook.lines))
    assert iptables.difference(hook, backwards) is not None
    assert iptables.difference(hook, (*present, "-A INPUT -j ACCEPT")) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_only_the_edges_segment_is_published(shape: str):
    segments = rules.published_segments(planned(shape))
    assert [segment.bridge for segment in segments] == [
        "br-app" if shape == "flat" else "br-frontend"
    ]
