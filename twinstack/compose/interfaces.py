"""The Docker world's interfaces: bridges, host ends and inside ends of veth pairs.

The engine names the host's end at random: it is found by the index of its peer, which each end
knows. Source: veth(4), IFLA_LINK in if_link.h.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import AliasPath, BaseModel, ConfigDict, Field, TypeAdapter

from twinstack.compose.engine_paths import EnginePaths
from twinstack.linux.process import run
from twinstack.model.plan import Plan
from twinstack.world import Link, ServiceState

_SHOW = ["ip", "-d", "-j", "link", "show"]


class LinkEnd(BaseModel):
    """One interface, from ip -d -j link show."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    name: str = Field(default="", validation_alias="ifname")
    index: int = Field(default=0, validation_alias="ifindex")
    kind: str = Field(default="", validation_alias=AliasPath("linkinfo", "info_kind"))
    peer: int | None = Field(default=None, validation_alias="link_index")  # of a veth's other end
    master: str = ""


_LINKS = TypeAdapter(tuple[LinkEnd, ...])


def observe_links(
    plan: Plan, states: Iterable[ServiceState], engine: EnginePaths
) -> tuple[Link, ...]:
    """List the interfaces of the containers that run, in the plan's order. Raises: StepFailed."""
    host = parse_links(run([*engine.prefix, *_SHOW]).stdout)
    inside = {}
    for state in states:
        if state.pid is not None:
            namespace = f"/proc/{state.pid}/ns/net"
            text = run(["nsenter", f"--net={namespace}", *_SHOW]).stdout
            inside[state.name] = (namespace, parse_links(text))
    return pair(plan, engine.network_namespace, host, inside)


def parse_links(text: str) -> tuple[LinkEnd, ...]:
    """Read what `ip` printed; what has no index or name is left out."""
    links = _LINKS.validate_json(text or "[]")
    return tuple(link for link in links if link.index and link.name)


def pair(
    plan: Plan,
    namespace: Path | None,
    host: tuple[LinkEnd, ...],
    inside: Mapping[str, tuple[str, tuple[LinkEnd, ...]]],
) -> tuple[Link, ...]:
    """Join each container's interfaces with their ends on the host, by index. Pure.

    `namespace` is that of the engine's host, None for ours.
    """
    outer = str(namespace) if namespace else ""
    segments = {segment.docker_bridge: segment.name for segment in plan.segments}
    by_index = {end.index: end for end in host if end.kind == "veth" and end.master in segments}
    present = {link.name for link in host if link.kind == "bridge"}
    bridges = [
        Link(name, "bridge", outer, segment, "")
        for name, segment in segments.items()
        if name in present
    ]
    host_ends, inside_ends = [], []
    for replica, (netns, links) in inside.items():
        for link in links:
            other = by_index.get(link.peer or 0)
            # An index says little across namespaces: the other end must point back here.
            if link.name == "lo" or other is None or other.peer != link.index:
                continue
            segment = segments[other.master]
            host_ends.append(Link(other.name, "host end", outer, segment, replica))
            inside_ends.append(Link(link.name, "inside", netns, segment, replica))
    return (*bridges, *host_ends, *inside_ends)
