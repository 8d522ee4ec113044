"""A table of iptables' that we were first to use goes, and one that somebody uses stays."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TypeVar

import pytest

from twinstack.linux import child, nft_tables

pytestmark = pytest.mark.kernel
Found = TypeVar("Found")


def in_own_namespace(work: Callable[[], Found]) -> Found:
    def alone() -> Found:
        child.fresh()
        return work()

    return child.inside("the test's namespace", None, alone)


def iptables(*words: str) -> None:
    subprocess.run(["iptables", *words], check=True, capture_output=True)


def test_a_table_whose_rules_are_gone_is_removed_and_only_that():
    def work() -> tuple[set[str], bool, set[str]]:
        for table in ("nat", "mangle"):
            iptables("-t", table, "-A", "OUTPUT", "-j", "ACCEPT")
            iptables("-t", table, "-D", "OUTPUT", "-j", "ACCEPT")
        before = nft_tables.present()
        return before, nft_tables.remove_if_empty("nat"), nft_tables.present()

    assert in_own_namespace(work) == ({"nat", "mangle"}, True, {"mangle"})


@pytest.mark.parametrize(
    "use",
    [
        ("-A", "OUTPUT", "-j", "ACCEPT"),
        ("-N", "THEIRS"),
        ("-P", "FORWARD", "DROP"),
    ],
    ids=lambda words: words[0],
)
def test_a_table_with_anything_of_anybody_stays(use: tuple[str, ...]):
    def work() -> tuple[bool, set[str]]:
        iptables("-t", "filter", *use)
        return nft_tables.remove_if_empty("filter"), nft_tables.present()

    assert in_own_namespace(work) == (False, {"filter"})


def test_a_rule_that_came_after_the_look_keeps_its_table():
    """The kernel itself refuses: nobody's rule is lost to a race."""

    def work() -> tuple[bool, set[str]]:
        iptables("-t", "nat", "-A", "OUTPUT", "-j", "ACCEPT")
        nft_tables._is_base = lambda _chain: True  # type: ignore[assignment]
        return nft_tables.remove_if_empty("nat"), nft_tables.present()

    assert in_own_namespace(work) == (False, {"nat"})


def test_a_table_that_is_not_there_is_nothing_to_remove():
    assert in_own_namespace(lambda: nft_tables.remove_if_empty("raw")) is False
