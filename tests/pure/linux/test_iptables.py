"""A world's chains are recognised by their names alone, whatever other instances are called."""

from __future__ import annotations

import time

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


FLOWS = (
    '-s 10.0.0.20/32 -m comment --comment "m a to b" -j ACCEPT',
    '-d 10.0.0.30/32 -p tcp -m tcp --dport 5000 -m comment --comment "m to b" -j TS-main-TO-b',
    '-d 10.0.0.31/32 -p tcp -m tcp --dport 5000 -m comment --comment "m to b-2" -j TS-main-TO-b',
    '-m comment --comment "m the rest" -j TS-main-DENY',
)


def rewritten(before: tuple[str, ...], after: tuple[str, ...]) -> frozenset[str] | None:
    old, new = (Hook("filter", "", "TS-main-FROM", rules) for rules in (before, after))
    return iptables.withdrawn([new], (":TS-main-FROM - [0:0]", *old.lines))


def test_more_permissions_are_withdrawn_from_nobody() -> None:
    assert rewritten(FLOWS, FLOWS) == frozenset()
    assert rewritten((*FLOWS[:2], FLOWS[3]), FLOWS) == frozenset()


def test_a_permission_that_goes_is_withdrawn_from_the_addresses_that_it_names() -> None:
    assert rewritten(FLOWS, (*FLOWS[:2], FLOWS[3])) == frozenset({"10.0.0.31"})
    assert rewritten(FLOWS, FLOWS[1:]) == frozenset({"10.0.0.20"})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FLOWS[:3], FLOWS),  # a denial is new
        (FLOWS, FLOWS[:3]),  # what goes names no address
        (FLOWS, (FLOWS[1], FLOWS[0], *FLOWS[2:])),  # a denial may come first now
    ],
)
def test_any_other_change_of_rules_may_withdraw_from_all(
    before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    assert rewritten(before, after) is None


def test_a_chain_that_was_not_there_may_withdraw_from_all() -> None:
    assert iptables.withdrawn([Hook("filter", "", "TS-main-FROM", FLOWS)], ()) is None


def test_thousands_of_chains_are_followed_at_once():
    """As kube-proxy has them: a jump to a chain of each service."""
    many = range(3000)
    lines = [
        *(":OUTPUT ACCEPT [0:0]", *(f":SVC-{number} - [0:0]" for number in many)),
        *(f'-A OUTPUT -m comment --comment "one -j X" -j SVC-{number}' for number in many),
        *(f"-A SVC-{number} -j DNAT --to-destination 10.0.0.1:{number}" for number in many),
    ]
    began = time.process_time()
    found = list(iptables.followed(lines, "OUTPUT"))
    assert time.process_time() - began < 0.5
    assert found[:2] == ["-A OUTPUT -m comment --comment  -j SVC-0", lines[-3000]]
    assert len(found) == 6000
