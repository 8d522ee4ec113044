"""Check before any change that names, published ports, subnets and bridges are free.

What carries our labels is ours; anything else in its place is named, and nothing is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_network
from typing import Any

import docker

from twinstack.compose.render import INSTANCE_LABEL, container_name, volume_name
from twinstack.errors import NotOurs, raise_all
from twinstack.linux.process import run
from twinstack.model.plan import Plan, PublishedPort, Segment

#: Every address, as the engine and ss write it.
_ANY = frozenset({"0.0.0.0", "::", "", "*", "[::]"})
_ELSEWHERE = "choose another in topology.yml"
Objects = list[dict[str, Any]]


def check_host(
    plan: Plan, client: docker.DockerClient | None, prefix: tuple[str, ...] = ()
) -> None:
    """Check the engine's objects, if one answers, and the host behind it.

    Raises: NotOurs for one obstacle; SeveralFailed that lists them when there are more.
    """
    obstacles: list[NotOurs] = []
    networks: set[str] = set()
    bound: set[int] = set()
    if client:
        present, listed = client.api.containers(all=True), client.api.networks()
        networks = {str(network["Name"]) for network in listed}
        names = {container_name(plan, replica) for replica in plan.replicas}
        obstacles += _foreign(plan, "container", names, present)
        names = {segment.docker_network for segment in plan.segments}
        obstacles += _foreign(plan, "network", names, listed)
        volumes = {volume_name(plan, each) for each in plan.replicas if each.launch.data}
        obstacles += _foreign(plan, "volume", volumes, client.api.volumes().get("Volumes") or [])
        taken = ports_of_others(plan, present)
        for port, container in taken.items():
            cause = f"container {container} publishes it"
            remedy = f"end it (docker stop {container}), or {_ELSEWHERE}"
            obstacles.append(NotOurs(f"port {port}", "is taken", cause, remedy))
        bound = set(taken) | {
            port["PublicPort"]
            for container in present
            if _is_ours(plan, container)
            for port in container["Ports"]
            if "PublicPort" in port
        }
    obstacles += _busy_ports(plan, bound, prefix)
    own = {each.docker_bridge for each in plan.segments if each.docker_network in networks}
    routes = _ip_json(prefix, "-4", "route", "show", "table", "all")
    obstacles += clashing_routes(plan, routes, own)
    links = _ip_json(prefix, "link", "show")
    unexpected = {link["ifname"] for link in links} - own
    for segment in plan.segments:
        bridge = segment.docker_bridge
        if bridge in unexpected:
            cause = f"no Docker network {segment.docker_network} has it"
            remedy = f"remove it: ip link delete {bridge}"
            obstacles.append(NotOurs(f"link {bridge}", "is taken", cause, remedy))
    raise_all("docker.up", obstacles)


def clashing_routes(plan: Plan, routes: Objects, own: set[str]) -> Iterator[NotOurs]:
    """Find routes of the host that a declared subnet would hide, those of our bridges left out."""
    seen: set[tuple[Segment, str]] = set()
    for route in routes:
        device, target = str(route.get("dev", "")), str(route.get("dst", "default"))
        if target == "default" or route.get("type") in {"local", "broadcast"} or device in own:
            continue
        try:
            network = ip_network(target)
        except ValueError:
            continue
        for segment in plan.segments:
            clash = isinstance(network, IPv4Network) and network.overlaps(segment.docker_subnet)
            if clash and (segment, target) not in seen:
                seen.add((segment, target))
                cause = f"this host reaches {target} through {device}"
                remedy = f"choose another docker_subnet for {segment.name} in topology.yml"
                yield NotOurs(f"subnet {segment.docker_subnet}", "is taken", cause, remedy)


def ports_of_others(plan: Plan, containers: Objects) -> dict[int, str]:
    """Find which of our ports foreign containers publish: port → container's name."""
    return {
        published.port: _name(container)
        for container in containers
        if not _is_ours(plan, container)
        for port in container["Ports"]
        for published in plan.published_ports
        if published.world == "docker" and port.get("PublicPort") == published.port
        if {port.get("IP", ""), str(published.bind)} & _ANY or port["IP"] == str(published.bind)
    }


def listening(sockets: str) -> set[tuple[str, int]]:
    """Read what `ss -Hltn` prints: (address, port) of each listening socket."""
    ends = (line.split()[3].rpartition(":") for line in sockets.splitlines())
    return {(address.partition("%")[0], int(port)) for address, _, port in ends}


def is_busy(published: PublishedPort, sockets: set[tuple[str, int]]) -> bool:
    """Say whether a listening socket occupies a published address and port."""
    bind = str(published.bind)
    return any(
        {address, bind} & _ANY or address in {bind, f"[::ffff:{bind}]"}
        for address, port in sockets
        if port == published.port
    )


def _busy_ports(plan: Plan, bound: set[int], prefix: tuple[str, ...]) -> Iterator[NotOurs]:
    """Find published ports that processes occupy; `bound` are those of containers."""
    sockets = listening(run([*prefix, "ss", "-Hltn"]).stdout)
    for published in plan.published_ports:
        port = published.port
        if published.world == "docker" and port not in bound and is_busy(published, sockets):
            cause = f"a process listens on {published.bind} already"
            remedy = f"end it (ss -ltnp 'sport = :{port}'), or {_ELSEWHERE}"
            yield NotOurs(f"port {port}", "is taken", cause, remedy)


def _foreign(plan: Plan, kind: str, names: set[str], objects: Objects) -> Iterator[NotOurs]:
    """Find objects with a name of ours but without our label."""
    for each in objects:
        name = _name(each)
        if name in names and not _is_ours(plan, each):
            cause = f"it has our name but no label {INSTANCE_LABEL}"
            command = "docker rm" if kind == "container" else f"docker {kind} rm"
            remedy = f"rename or remove it: {command} {name}"
            yield NotOurs(f"{kind} {name}", "is not ours", cause, remedy)


def _name(each: dict[str, Any]) -> str:
    """Give an object's name; a container's comes in a list, each with a slash."""
    return str(each.get("Name") or each["Names"][0]).removeprefix("/")


def _is_ours(plan: Plan, each: dict[str, Any]) -> bool:
    return (each.get("Labels") or {}).get(INSTANCE_LABEL) == plan.instance


def _ip_json(prefix: tuple[str, ...], *words: str) -> Objects:
    return list(json.loads(run([*prefix, "ip", "-j", *words]).stdout or "[]"))
