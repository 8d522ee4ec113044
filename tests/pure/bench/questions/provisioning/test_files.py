"""The files of contenders do what the steps of the plan say, and undo it."""

from __future__ import annotations

from bench.questions.provisioning import files, topologies
from twinstack.model import names
from twinstack.namespaces.steps import NAMESPACE_SYSCTLS

PLAN = topologies.plan(8, "t")
TEXTS = files.texts(PLAN)


def test_the_floor_makes_every_namespace_link_and_switch_of_the_plan():
    words = [line.split() for line in TEXTS["spec"].splitlines()]

    assert words[0] == ["world", "twinstack:t", str(PLAN.mtu), str(names.link_group("t"))]
    assert ["held", "/proc/sys/net/ipv4/ip_forward", "1", "0"] in words
    assert [line[1] for line in words if line[0] == "namespace"] == [
        replica.name for replica in PLAN.replicas
    ]
    inside = {line[1].replace("/", ".") for line in words if line[0] == "inside"}
    assert inside == {key.removeprefix("net.") for key, _ in NAMESPACE_SYSCTLS}


def test_the_rules_that_are_removed_are_those_that_were_made():
    made = {line.split()[0][1:] for line in TEXTS["up.rules"].splitlines() if line[0] == ":"}

    removed = {line.split()[1] for line in TEXTS["down.rules"].splitlines() if line[:2] == "-X"}

    assert removed == made


def test_the_shell_removes_every_link_namespace_and_chain_that_it_makes():
    for pair in (
        ("ip netns add ", "ip netns delete "),
        (" -N TS-", " -X TS-"),
        ("ip link add name ", "ip link delete dev "),
    ):
        assert TEXTS["up.sh"].count(pair[0]) == TEXTS["down.sh"].count(pair[1]) > 0


def test_mininet_has_a_host_for_each_replica_with_its_gateway():
    hosts = [line.split() for line in TEXTS["hosts"].splitlines()]

    assert [host[0] for host in hosts] == [replica.name for replica in PLAN.replicas]
    assert {len(host) for host in hosts} == {3}
