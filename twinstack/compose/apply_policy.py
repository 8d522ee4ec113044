"""Enforce the policy on the engine's host: write and remove our chains, switch our bridges."""

from __future__ import annotations

import docker

from twinstack.compose import policy
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.observe import filter_rules, filtered_bridges, namespaces, states
from twinstack.errors import Missing
from twinstack.linux import br_netfilter, conntrack
from twinstack.linux.iptables import RESTORE
from twinstack.linux.process import run
from twinstack.model.plan import Plan
from twinstack.policy.verdict import Enforcement


def write_chains(plan: Plan, prefix: tuple[str, ...]) -> None:
    """Write the plan's chains and remove those that it no longer has. Raises: StepFailed."""
    if plan.policy:
        br_netfilter.load()
    present = filter_rules(prefix)
    if policy.difference(plan, present) is None:
        return
    for text in policy.restore_texts(plan, present):
        _restore(text, prefix)
    flush_connections(plan, prefix, only=policy.judged_again(plan, present))


def filter_bridges(plan: Plan, prefix: tuple[str, ...]) -> None:
    """Hand the bridges' frames to iptables when a policy is on, and only then. Raises: StepFailed.

    Same as: ip link set dev BRIDGE type bridge nf_call_iptables 1|0.
    """
    for segment in plan.segments:
        command = f"ip link set dev {segment.docker_bridge} type bridge nf_call_iptables"
        run([*prefix, *command.split(), str(int(plan.policy))])
    flush_connections(plan, prefix)


def flush_connections(
    plan: Plan, prefix: tuple[str, ...], *, only: frozenset[str] | None = None
) -> None:
    """Have connections between containers judged again; `only` those of some addresses.

    Raises: StepFailed.
    """
    conntrack.flush((segment.docker_subnet for segment in plan.segments), prefix, only=only)


def remove_chains(instance: str, prefix: tuple[str, ...]) -> None:
    """Remove this world's chains of an instance. Raises: StepFailed."""
    text = policy.removal_text(instance, filter_rules(prefix))
    if text:
        _restore(text, prefix)


def enforcement(plan: Plan, client: docker.DockerClient | None, engine: EnginePaths) -> Enforcement:
    """Read what enforces the plan's flows. Raises: Missing when a container is not running."""
    current = states(client, plan)
    for state in current:
        if state.pid is None:
            cause = f"{state.where} does not run"
            raise Missing("Docker world", "cannot be asked", cause, 'run "invoke docker.up"')
    present, filtered = filter_rules(engine.prefix), filtered_bridges(engine)
    return Enforcement(
        "docker",
        namespaces(current, engine),
        present,
        policy.expected_chains(plan, present),
        tuple(
            segment.docker_bridge
            for segment in plan.segments
            if segment.docker_bridge not in filtered
        ),
    )


def _restore(text: str, prefix: tuple[str, ...]) -> None:
    run([*prefix, *RESTORE], stdin=text)
