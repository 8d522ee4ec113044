"""A table of iptables' that we were first to use goes, and one that somebody uses stays."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TypeVar

import pytest

from twinstack import entering
from twinstack.namespaces import basetables

pytestmark = pytest.mark.kernel
Found = TypeVar("Found")


def in_own_namespace(work: Callable[[], Found]) -> Found:
    def alone() -> Found:
        entering.fresh()
        return work()

    return entering.inside("the test's namespace", None, alone)


def iptables(*words: str) -> None:
    subprocess.run(["iptables", *words], check=True, capture_output=True)


def test_a_table_whose_rules_are_gone_is_removed_and_only_that():
    def work() -> tuple[set[str], bool, set[str]]:
        for table in ("nat", "mangle"):
            iptables("-t", table, "-A", "OUTPUT", "-j", "ACCEPT")
            iptables("-t", table, "-D", "OUTPUT", "-j", "ACCEPT")
        before = basetables.present()
        return before, basetables.remove_if_empty("nat"), basetables.present()

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
        return basetables.remove_if_empty("filter"), basetables.present()

    assert in_own_namespace(work) == (False, {"filter"})


def test_a_rule_that_came_after_the_look_keeps_its_table():
    """The kernel itself refuses: nobody's rule is lost to a race."""

    def work() -> tuple[bool, set[str]]:
        iptables("-t", "nat", "-A", "OUTPUT", "-j", "ACCEPT")
        basetables._is_base = lambda _chain: True  # type: ignore[assignment]
        return basetables.remove_if_empty("nat"), basetables.present()

    assert in_own_namespace(work) == (False, {"nat"})


def test_a_table_that_is_not_there_is_nothing_to_remove():
    assert in_own_namespace(lambda: basetables.remove_if_empty("raw")) is False
