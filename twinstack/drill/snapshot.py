"""The state of a whole world: what is compared before a drill and after it.

Foreign objects on the host are left out, but for iptables' rules, of which the order counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from twinstack.drill import contents, kernel_state, processes
from twinstack.drill.ground import AnyWorld, entrances, host_plan
from twinstack.drill.kernel_state import PlaceState, Scope
from twinstack.errors import TwinstackError
from twinstack.linux.process import run
from twinstack.model.names import chain_pattern
from twinstack.model.plan import HOST
from twinstack.model.topology import WorldName
from twinstack.state import records
from twinstack.state.paths import InstancePaths

#: Of `docker inspect`: what a compose file, a command or a student can set.
_CONTAINER = {
    "Config": ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Image", "User"),
    "HostConfig": (
        *("CapAdd", "CapDrop", "CpuPeriod", "CpuQuota", "CpuShares", "CpusetCpus", "Dns"),
        *("ExtraHosts", "Memory", "MemorySwap", "NanoCpus", "NetworkMode", "OomKillDisable"),
        *("PidsLimit", "PortBindings", "Privileged", "ReadonlyRootfs", "RestartPolicy"),
        *("SecurityOpt", "Sysctls", "Tmpfs", "Ulimits"),
    ),
}
_NETWORK = ("Driver", "EnableIPv6", "IPAM", "Internal", "Options")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A world as the kernel and the engine have it."""

    links: dict[str, str]  # our links on the host → the names that they are shown by
    places: dict[str, PlaceState]  # the host, and each replica


_JSON = TypeAdapter(Snapshot)


def read_before(instance: str) -> Snapshot | None:
    """Read how the world was before the drill; None when that was not yet written."""
    path = InstancePaths(instance).run / "drill-before.json"
    return records.read(path, _JSON, 'remove it, then take the world down and up ("invoke …")')


def write_before(instance: str, snapshot: Snapshot) -> None:
    """Record how the world is before a drill. Raises: OSError."""
    records.write(InstancePaths(instance).run / "drill-before.json", _JSON, snapshot)


def scope_of(world: AnyWorld, links: dict[str, str]) -> Scope:
    """Tell what of the host is a world's own."""
    plan, kind = host_plan(world), _addressed(world)
    docker = kind == "docker"
    chains = (chain_pattern(plan.instance, kind).pattern, *(("DOCKER",) if docker else ()))
    networks = tuple(segment.subnet_in(kind) for segment in plan.segments)
    bridges = {segment.bridge_in(kind) for segment in plan.segments}
    return Scope(frozenset({*bridges, *links}), networks, chains, links)


def _addressed(world: AnyWorld) -> WorldName:
    """Say by which world's addresses it goes: an overlay has those of the namespaces."""
    return "docker" if world.name == "docker" else "net"


def take(world: AnyWorld, before: Snapshot | None = None) -> Snapshot:
    """Read the whole state of a world, some of which may be missing; `before` adds its names.

    Raises: Missing; StepFailed.
    """
    host, inside = link_names(world)
    links = {**(before.links if before else {}), **host}
    waiting: dict[str, tuple[Scope, kernel_state.Reader]] = {}
    for name, enter in entrances(world).items():
        shown = inside.get(name, {})
        scope = scope_of(world, links) if name == HOST else Scope(all_of_it=True, shown=shown)
        waiting[name] = scope, kernel_state.begin_reading(enter)
    held = dict(_held(world))
    engine = getattr(world, "engine", None)
    inspected = dict(_inspected(world, engine.url)) if engine else {}
    written = dict(contents.tables_of(world.plan, _addressed(world), world.main_pids()))
    places = {
        name: kernel_state.parse(read().stdout, scope) for name, (scope, read) in waiting.items()
    }
    for name in dict.fromkeys((*places, *held, *inspected)):
        seen = places.get(name, PlaceState({}, {}))
        places[name] = replace(
            seen,
            processes={**held.get(name, {}), **written.get(name, {})},
            engine=inspected.get(name, {}),
        )
    return Snapshot(links, places)


def link_names(world: AnyWorld) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Map our links on the host, and inside each replica, to names that last."""
    host: dict[str, str] = {}
    inside: dict[str, dict[str, str]] = {}
    engine_names = world.name == "docker"  # an engine draws the names of host ends
    with suppress(TwinstackError):
        for link in world.links():
            if link.kind == "inside":
                name = f"eth@{link.segment}" if engine_names and link.segment else link.name
                inside.setdefault(link.replica, {})[link.name] = name
            else:
                drawn = engine_names and link.kind == "host end"
                name = f"{link.replica}@{link.segment}" if drawn else link.name
                host[link.name] = name
    return host, inside


def _held(world: AnyWorld) -> Iterator[tuple[str, dict[str, str]]]:
    members: dict[str, list[int]] = {}
    for process in world.processes():
        members.setdefault(process.replica, []).append(process.pid)
    for replica, pid in world.main_pids().items():
        yield replica, processes.state_of(pid, members.get(replica, []))


def _inspected(world: AnyWorld, url: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give what the engine has of our containers, by replica, and of our networks, of the host."""
    docker = ["docker", "--host", url]
    label = f"label=twinstack.instance={world.plan.instance}"
    names = run([*docker, "ps", "--all", "--quiet", "--filter", label]).stdout.split()
    for container in _inspect(docker, "container", names):
        yield str(container["Config"]["Labels"].get("twinstack.replica")), dict(_flat(container))
    networks = run([*docker, "network", "ls", "--quiet", "--filter", label]).stdout.split()
    values: dict[str, str] = {}
    for network in _inspect(docker, "network", networks):
        values |= {
            f"network {network['Name']} {key}": json.dumps(network.get(key), sort_keys=True)
            for key in _NETWORK
        }
    yield HOST, values


def _inspect(docker: list[str], kind: str, names: list[str]) -> list[dict[str, Any]]:
    if not names:
        return []
    found: list[dict[str, Any]] = json.loads(run([*docker, kind, "inspect", *names]).stdout)
    return found


def _flat(container: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for part, keys in _CONTAINER.items():
        for key in keys:
            value = container[part].get(key)
            if isinstance(value, list):
                value = sorted(value, key=str)
            yield f"container {key}", json.dumps(value, sort_keys=True)
    yield "container state", str(container["State"]["Status"])
    for name, network in container["NetworkSettings"]["Networks"].items():
        address = (network.get("IPAMConfig") or {}).get("IPv4Address") or network["IPAddress"]
        aliases = [each for each in network.get("Aliases") or () if each not in container["Id"]]
        yield f"container network {name}", f"{address} {' '.join(sorted(aliases))}"
    for port, bound in (container["NetworkSettings"].get("Ports") or {}).items():
        yield f"container port {port}", json.dumps(bound, sort_keys=True)
