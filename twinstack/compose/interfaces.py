"""The Docker world's interfaces as they are now: bridges, host ends, inside ends.

The engine names the host's end of a veth pair at random: it is found by the index of its peer,
which each end tells. Source: veth(4), IFLA_LINK in if_link.h.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.render import REPLICA_LABEL
from twinstack.linux.process import run
from twinstack.model.plan import Plan
from twinstack.world import Link, ServiceState

_LOOPBACK = "lo"


@dataclass(frozen=True, slots=True)
class End:
    """One interface as `ip` tells it; `peer` is the index of a veth's other end."""

    name: str
    index: int
    kind: str
    peer: int | None
    master: str


def observed(plan: Plan, states: tuple[ServiceState, ...], engine: EnginePaths) -> tuple[Link, ...]:
    """List the interfaces of the containers that run, in the plan's order. Raises: StepFailed."""
    host = ends(run([*engine.prefix, "ip", "-d", "-j", "link", "show"]).stdout)
    inside = {}
    for state in states:
        if state.pid is not None:
            namespace = f"/proc/{state.pid}/ns/net"
            told = run(["nsenter", f"--net={namespace}", "ip", "-d", "-j", "link", "show"])
            inside[state.name] = (namespace, ends(told.stdout))
    return paired(plan, engine.network_namespace, host, inside)


def running(containers: list[Any]) -> dict[str, Path]:
    """Map each replica whose container runs to its network namespace."""
    return {
        one.labels[REPLICA_LABEL]: Path(f"/proc/{one.attrs['State']['Pid']}/ns/net")
        for one in containers
        if one.attrs["State"]["Pid"]
    }


def ends(told: str) -> tuple[End, ...]:
    """Read what `ip -d -j link show` prints; what has no index or name is left out."""
    return tuple(
        End(
            str(one["ifname"]),
            int(one["ifindex"]),
            str(one.get("linkinfo", {}).get("info_kind", "")),
            one.get("link_index"),
            str(one.get("master", "")),
        )
        for one in json.loads(told or "[]")
        if "ifindex" in one and "ifname" in one
    )


def paired(
    plan: Plan,
    namespace: Path | None,
    host: tuple[End, ...],
    inside: dict[str, tuple[str, tuple[End, ...]]],
) -> tuple[Link, ...]:
    """Join each container's interfaces with their ends on the host, by index. Pure.

    `namespace` is that of the engine's host, None for ours.
    """
    outer = str(namespace) if namespace else ""
    segments = {one.docker_bridge: one.name for one in plan.segments}
    by_index = {one.index: one for one in host if one.kind == "veth" and one.master in segments}
    present = {one.name for one in host if one.kind == "bridge"}
    bridges = [
        Link(name, "bridge", outer, segment, "")
        for name, segment in segments.items()
        if name in present
    ]
    host_ends, inside_ends = [], []
    for replica, (where, found) in inside.items():
        for one in found:
            other = by_index.get(one.peer or 0)
            # An index says little across namespaces: the other end must point back here.
            if one.name == _LOOPBACK or other is None or other.peer != one.index:
                continue
            segment = segments[other.master]
            host_ends.append(Link(other.name, "host end", outer, segment, replica))
            inside_ends.append(Link(one.name, "inside", where, segment, replica))
    return (*bridges, *host_ends, *inside_ends)
