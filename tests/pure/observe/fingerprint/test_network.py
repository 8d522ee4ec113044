"""Whether a world's policy holds is told from the rules themselves."""

from __future__ import annotations

import pytest

from tests.support.bench_fakes import PLAN
from twinstack.model.topology import WorldName
from twinstack.observe.fingerprint.network import rule_values
from twinstack.policy.chains import chains

HEAD = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n"
FOREIGN = "-A FORWARD -i virbr0 -j ACCEPT\n-A DOCKER-USER -j RETURN\n"
NAT = "*nat\n-A POSTROUTING -s 10.0.0.0/24 ! -o br-app -j MASQUERADE\nCOMMIT\n"


def rules(world: WorldName) -> str:
    hooks = [chain.hook(PLAN.mark) for chain in chains(PLAN, world)]
    lines = [line for hook in hooks for line in (hook.jump, *hook.lines) if line]
    return "\n".join((HEAD + FOREIGN).splitlines() + lines) + "\nCOMMIT\n" + NAT


@pytest.mark.parametrize("world", ["net", "docker"])
def test_a_policy_is_on_where_chains_lead_into_it(world: WorldName) -> None:
    found = rule_values(PLAN, world, rules(world))
    assert (found["policy"], found["policy.rate_limit"]) == ("on", "on")
    assert found["host.forward"] == "DROP"


def test_a_policy_of_the_other_world_or_none_is_off() -> None:
    for text in (rules("docker"), HEAD + FOREIGN + "COMMIT\n" + NAT):
        found = rule_values(PLAN, "net", text)
        assert (found["policy"], found["policy.rate_limit"]) == ("off", "off")


def test_rules_are_counted_by_whom_they_are_for() -> None:
    found = rule_values(PLAN, "net", HEAD + FOREIGN + "COMMIT\n" + NAT)
    assert found["iptables.nat"] == "1 rules"
    assert found["host.iptables"] == "3 rules"
    assert "iptables.filter" not in found


def test_chains_that_deny_nothing_are_no_policy() -> None:
    accepts = "-A FORWARD -j TS-main-FORWARD\n-A TS-main-FORWARD -i br-app -j ACCEPT\n"
    assert rule_values(PLAN, "net", HEAD + accepts)["policy"] == "off"
    assert rule_values(PLAN, "net", HEAD + accepts + "-A TS-main-DENY -j DROP\n")["policy"] == "on"
