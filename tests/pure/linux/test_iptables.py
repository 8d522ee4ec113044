"""A world's chains are recognised by their names alone, whatever other instances are called."""

from __future__ import annotations

import pytest

from twinstack.linux import iptables
from twinstack.linux.iptables import Hook, Ownership
from twinstack.model import names

MARK = "twinstack:main"
NET = Ownership(names.chain_pattern("main", "net"), MARK)
DOCKER = Ownership(names.chain_pattern("main", "docker"), MARK)
OTHERS = ("TS-main-x-INPUT", "TS-mainINPUT", "TS-lab-INPUT", "FORWARD", "DOCKER-USER")


@pytest.mark.parametrize("suffix", ["INPUT", "FORWARD", "TO-redis-cache", "DENY", "D"])
def test_a_chain_is_of_one_world(suffix: str):
    net, docker = names.chain("main", suffix), names.chain("main", suffix, "docker")
    lines = tuple(f":{chain} - [0:0]" for chain in (net, docker, *OTHERS))
    assert (NET.chains(lines), DOCKER.chains(lines)) == ([net], [docker])


@pytest.mark.parametrize("world", ["net", "docker"])
def test_a_shortened_chain_is_still_of_its_world(world: str):
    instance = "a" * names.INSTANCE_MAX
    chain = names.chain(instance, "TO-product-service", world)
    patterns = {name: names.chain_pattern(instance, name) for name in ("net", "docker")}
    assert [name for name, pattern in patterns.items() if pattern.match(chain)] == [world]


def test_a_chain_with_a_foreign_rule_stays_without_ours():
    own = '-A TS-main-INPUT -s 10.0.0.0/24 -m comment --comment "twinstack:main why" -j DROP'
    foreign = "-A TS-main-INPUT -j ACCEPT"
    lines = (":TS-main-INPUT - [0:0]", own, foreign, "-A INPUT -j TS-main-INPUT")
    text = iptables.removal_text(NET, {"filter": lines})
    assert text.splitlines() == [
        "*filter",
        own.replace("-A", "-D", 1),
        "-D INPUT -j TS-main-INPUT",
        "COMMIT",
    ]


def test_saved_rules_are_read_by_table():
    text = (
        "# by\n*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j X\nCOMMIT\n*filter\n-A INPUT -j Y\nCOMMIT\n"
    )
    expected = {"nat": (":OUTPUT ACCEPT [0:0]", "-A OUTPUT -j X"), "filter": ("-A INPUT -j Y",)}
    assert iptables.parse_save(text) == expected


def test_a_quoted_comment_names_no_target():
    rule = '-A INPUT -m comment --comment "see -j DROP" -g TS-main-X'
    assert iptables.target(rule) == "TS-main-X"
    assert iptables.target("-A INPUT") == ""


def test_a_chain_says_what_it_lacks():
    hook = Hook("filter", "INPUT", "TS-main-INPUT", ("-j ACCEPT",), comment="twinstack:main")
    chain = ":TS-main-INPUT - [0:0]"
    assert iptables.difference(hook, ()) == "chain TS-main-INPUT is absent"
    assert iptables.difference(hook, (chain,)) == "misses 1 rule"
    assert iptables.difference(hook, (chain, *hook.lines)) == "the jump from INPUT is absent"
    assert iptables.difference(hook, (chain, *hook.lines, hook.jump)) is None
