"""The floor does what the steps of the plan say."""

from __future__ import annotations

from bench.questions.provisioning import spec, topologies
from twinstack.namespaces.steps import NAMESPACE_SYSCTLS


def test_the_floor_makes_every_namespace_link_and_switch_of_the_plan():
    plan = topologies.plan(8, "t")

    words = [line.split() for line in spec.spec(plan, 7).splitlines()]

    assert words[0] == ["world", "twinstack:t", str(plan.mtu), "7"]
    assert ["held", "/proc/sys/net/ipv4/ip_forward", "1", "0"] in words
    assert [line[1] for line in words if line[0] == "namespace"] == [
        replica.name for replica in plan.replicas
    ]
    assert sum(line[0] == "inside" for line in words) == len(NAMESPACE_SYSCTLS)


def test_the_rules_that_are_removed_are_those_that_were_made():
    plan = topologies.plan(8, "t")
    made = {line.split()[0][1:] for line in spec.rules_up(plan).splitlines() if line[0] == ":"}

    removed = {line.split()[1] for line in spec.rules_down(plan).splitlines() if line[:2] == "-X"}

    assert removed == made
