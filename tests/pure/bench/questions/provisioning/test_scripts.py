"""The shell script has an inverse."""

from __future__ import annotations

from bench.questions.provisioning import scripts, topologies
from twinstack.namespaces.steps import network_steps, script


def test_the_shell_removes_every_link_namespace_and_chain_that_it_makes():
    steps = network_steps(topologies.plan(8, "t"))

    made, removed = script(steps), scripts.down(steps)

    for pair in (
        ("ip netns add ", "ip netns delete "),
        (" -N TS-", " -X TS-"),
        ("ip link add name ", "ip link delete dev "),
    ):
        assert made.count(pair[0]) == removed.count(pair[1]) > 0
