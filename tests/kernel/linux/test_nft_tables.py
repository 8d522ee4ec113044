"""A table of iptables that we were the first to use is removed; one in use stays."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.loopback import in_own_netns
from twinstack.linux import nft_tables

pytestmark = pytest.mark.kernel


def iptables(*words: str) -> None:
    subprocess.run(["iptables", *words], check=True, capture_output=True)


def test_a_table_whose_rules_are_gone_is_removed_and_only_that():
    def work() -> tuple[set[str], bool, set[str]]:
        for table in ("nat", "mangle"):
            iptables("-t", table, "-A", "OUTPUT", "-j", "ACCEPT")
            iptables("-t", table, "-D", "OUTPUT", "-j", "ACCEPT")
        before = nft_tables.present()
        return before, nft_tables.remove_if_empty("nat"), nft_tables.present()

    assert in_own_netns(work) == ({"nat", "mangle"}, True, {"mangle"})


@pytest.mark.parametrize(
    "use",
    [
        ("-A", "OUTPUT", "-j", "ACCEPT"),
        ("-N", "THEIRS"),
        ("-P", "FORWARD", "DROP"),
    ],
    ids=lambda words: words[0],
)
def test_a_table_with_anything_in_it_stays(use: tuple[str, ...]):
    def work() -> tuple[bool, set[str]]:
        iptables("-t", "filter", *use)
        return nft_tables.remove_if_empty("filter"), nft_tables.present()

    assert in_own_netns(work) == (False, {"filter"})


def test_a_rule_that_came_after_the_look_keeps_its_table():
    """The kernel itself refuses: nobody's rule is lost to a race."""

    def work() -> tuple[bool, set[str]]:
        iptables("-t", "nat", "-A", "OUTPUT", "-j", "ACCEPT")
        nft_tables._is_base = lambda _chain: True  # type: ignore[assignment]
        return nft_tables.remove_if_empty("nat"), nft_tables.present()

    assert in_own_netns(work) == (False, {"nat"})


def test_a_table_that_is_not_there_is_nothing_to_remove():
    assert in_own_netns(lambda: nft_tables.remove_if_empty("raw")) is False
