"""The chains of the policy, followed rule by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core_cases import planned
from twinstack.model.topology import WorldName
from twinstack.namespaces import rules
from twinstack.policy.chains import chains
from twinstack.policy.trace import FirstPacket, trace


def left_to_others() -> set[str]:
    """Give the link patterns that `--no-policy` leaves to the rules of others."""
    hooks = rules.hooks(replace(planned(), policy=False))
    (forward,) = (hook for hook in hooks if hook.builtin == "FORWARD")
    return {rule.split()[3] for rule in forward.rules if rule.endswith("-j RETURN")}


@pytest.mark.parametrize("world", ["net", "docker"])
def test_egress_enters_no_link_that_no_policy_leaves_to_others(world: WorldName):
    plan = planned()
    segment = plan.segments[0]
    bridge = segment.bridge if world == "net" else segment.docker_bridge
    client = str(plan.replica("product-service").address_in(world))
    hooks = [chain.hook(plan.mark) for chain in chains(plan, world)]
    lines = (
        *(hook.jump for hook in hooks if hook.jump),
        *(r for hook in hooks for r in hook.lines),
    )

    def passes(link: str) -> bool:
        return trace(
            lines, FirstPacket("FORWARD", client, "9.9.9.9", "tcp", 443, bridge, link)
        ).passes

    assert passes("eth0")
    assert {"docker+", "wg+", "tun+", "tap+", "tailscale+"} <= left_to_others()
    assert {link for link in left_to_others() if passes(link.replace("+", "0"))} == set()
