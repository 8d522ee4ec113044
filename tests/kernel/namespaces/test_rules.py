"""The kernel takes the rendered rules, prints them back as written, and lets go of them."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.core_cases import edited_plan, planned
from twinstack.linux import iptables
from twinstack.model.plan import Plan
from twinstack.namespaces import rules
from twinstack.namespaces.steps import Rules

pytestmark = pytest.mark.kernel
PLANS = {
    "flat": planned("flat"),
    "tiered": planned("tiered"),
    "a long instance": planned("tiered", "abcdefghijklmno"),
    "a bound published port": edited_plan(lambda d: d["host_ports"][0].update(bind="192.0.2.1")),
}
STRANGERS = """\
*nat
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
*filter
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
COMMIT
"""


def in_own_namespace(script: str, *texts: str) -> str:
    """Run a shell script in a network namespace that ends with it; $1… are the texts."""
    command = ["unshare", "--net", "/bin/sh", "-euc", script, "sh", *texts]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(saved: str) -> dict[str, tuple[str, ...]]:
    tables: dict[str, list[str]] = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            tables[line[1:]] = []
        elif line.startswith((":", "-A ")):
            tables[list(tables)[-1]].append(line.partition(" [")[0])
    return {table: tuple(lines) for table, lines in tables.items()}


@pytest.fixture(params=PLANS, name="plan")
def _plan(request: pytest.FixtureRequest) -> Plan:
    return PLANS[request.param]


def test_rendered_rules_pass_the_kernels_own_check(plan: Plan):
    text = iptables.restore_text(rules.hooks(plan), {})
    in_own_namespace('printf %s "$1" | iptables-restore --noflush --test', text)


def test_a_wrong_rule_does_not_pass_that_check():
    text = iptables.restore_text(rules.hooks(PLANS["flat"]), {}).replace("--dport", "--dprot")
    with pytest.raises(AssertionError, match="dprot"):
        in_own_namespace('printf %s "$1" | iptables-restore --noflush --test', text)


def test_rules_are_saved_as_they_were_written_and_removed_without_a_trace(plan: Plan):
    hooks = rules.hooks(plan)
    restore = 'printf %s "$1" | iptables-restore --noflush; '
    second = 'printf %s "$2" | iptables-restore --noflush; '
    text = iptables.restore_text(hooks, {})
    before = tables(in_own_namespace(restore + "iptables-save", STRANGERS))
    saved = tables(in_own_namespace(restore + second + "iptables-save", STRANGERS, text))
    marked = {
        table: tuple(f"{line} [0:0]" if line.startswith(":") else line for line in lines)
        for table, lines in saved.items()
    }
    assert [iptables.difference(hook, marked[hook.table]) for hook in hooks] == [None] * len(hooks)
    removal = rules.removal_text(plan.instance, marked)
    third = 'printf %s "$3" | iptables-restore --noflush; '
    after = tables(
        in_own_namespace(restore + second + third + "iptables-save", STRANGERS, text, removal)
    )
    assert {table: after[table] for table in before} == before
    assert "TS-" not in str(after)


def test_the_commands_of_the_plan_are_taken_one_by_one(plan: Plan):
    lines = [line for hook in rules.hooks(plan) for line in Rules(hook).commands]
    saved = tables(in_own_namespace("\n".join([*lines, "iptables-save"])))
    by_hand = {
        table: tuple(f"{line} [0:0]" if line.startswith(":") else line for line in lines)
        for table, lines in saved.items()
    }
    hooks = rules.hooks(plan)
    assert [iptables.difference(hook, by_hand[hook.table]) for hook in hooks] == [None] * len(hooks)
