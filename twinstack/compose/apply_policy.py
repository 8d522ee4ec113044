"""Enforce the policy where the engine is: read, write, remove our chains; see to our bridges."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import docker

from twinstack.compose import policy
from twinstack.compose.bring_up import observe
from twinstack.compose.engine_paths import EnginePaths
from twinstack.errors import Missing
from twinstack.linux import br_netfilter, conntrack, iptables
from twinstack.linux.process import run
from twinstack.model.plan import HOST, Plan
from twinstack.policy.verdict import Enforcement


def read_filter(prefix: tuple[str, ...]) -> tuple[str, ...]:
    """Read the filter table of the engine's host. Raises: Missing, StepFailed."""
    return iptables.parse_save(run([*prefix, "iptables-save", "-t", "filter"]).stdout).get(
        "filter", ()
    )


def counted(prefix: tuple[str, ...] = ()) -> str:
    """Give the filter table with its counters. Raises: StepFailed."""
    return run([*prefix, "iptables-save", "-c", "-t", "filter"]).stdout


def read_filtered(prefix: tuple[str, ...]) -> frozenset[str]:
    """List the bridges whose frames pass iptables, whatever the host's switch says."""
    listed = run([*prefix, "ip", "-d", "-j", "link", "show", "type", "bridge"], check=False).stdout
    return frozenset(
        str(link["ifname"])
        for link in json.loads(listed or "[]")
        if link.get("linkinfo", {}).get("info_data", {}).get("nf_call_iptables")
    )


def enforce(plan: Plan, prefix: tuple[str, ...]) -> None:
    """Write the plan's chains, and remove those that it does not want. Raises: StepFailed."""
    if plan.policy:
        br_netfilter.load()
    present = read_filter(prefix)
    if policy.difference(plan, present) is None:
        return
    for text in policy.texts(plan, present):
        _restore(text, prefix)
    forget(plan, prefix)


def forget(plan: Plan, prefix: tuple[str, ...]) -> None:
    """Have connections between containers judged anew. Raises: StepFailed."""
    conntrack.flush((segment.docker_subnet for segment in plan.segments), prefix)


def filter_bridges(bridges: Iterable[str], prefix: tuple[str, ...], *, on: bool) -> None:
    """Same as: ip link set dev BRIDGE type bridge nf_call_iptables 1|0. Raises: StepFailed."""
    for bridge in bridges:
        run(
            [
                *prefix,
                "ip",
                "link",
                "set",
                "dev",
                bridge,
                "type",
                "bridge",
                "nf_call_iptables",
                str(int(on)),
            ]
        )


def is_enforced(instance: str, prefix: tuple[str, ...] = ()) -> bool:
    """Tell whether chains of this world are there; a host without iptables has none."""
    try:
        return bool(policy.ownership(instance).chains(read_filter(prefix)))
    except Missing:
        return False


def lift(instance: str, prefix: tuple[str, ...]) -> None:
    """Remove this world's chains of an instance. Raises: StepFailed."""
    text = policy.removal(instance, read_filter(prefix))
    if text:
        _restore(text, prefix)


def _restore(text: str, prefix: tuple[str, ...]) -> None:
    run([*prefix, "iptables-restore", "--noflush", "--wait", "5"], stdin=text)


def enforcement(plan: Plan, client: docker.DockerClient | None, engine: EnginePaths) -> Enforcement:
    """Look at what enforces the plan's flows. Raises: Missing when a container is not running."""
    states = observe(client, plan)
    for state in states:
        if state.pid is None:
            raise Missing(
                "Docker world",
                "cannot be asked",
                f"{state.where} does not run",
                'run "invoke docker.up"',
            )
    present = read_filter(engine.prefix)
    filtered = read_filtered(engine.prefix)
    return Enforcement(
        "docker",
        {
            HOST: engine.network_namespace,
            **{one.name: Path(f"/proc/{one.pid}/ns/net") for one in states},
        },
        present,
        policy.wanted(plan, present),
        tuple(one.docker_bridge for one in plan.segments if one.docker_bridge not in filtered),
    )
