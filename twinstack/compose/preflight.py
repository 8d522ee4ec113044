"""Is the way free? Asked before anything is changed: names, doors, subnets and bridges.

What bears our labels is ours; anything else in our engine is named, and nothing is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network, ip_network
from typing import Any

import docker

from twinstack.compose.render import INSTANCE_LABEL, container_name, volume_name
from twinstack.errors import NotOurs, SeveralFailed, TwinstackError
from twinstack.linux.process import run
from twinstack.model.plan import Plan, PublishedPort

_LISTEN = "0A"


def check_host(
    plan: Plan, client: docker.DockerClient | None, prefix: tuple[str, ...] = ()
) -> None:
    """Check the engine's objects (if one answers) and the host behind it.

    Raises: NotOurs for one obstacle; SeveralFailed that lists them when there are more.
    """
    found = list(_engine_objects(plan, client)) if client else []
    networks = _networks(client) if client else []
    own = {one.docker_bridge for one in plan.segments if one.docker_network in networks}
    mine = _published(plan, client) if client else set()
    theirs = strangers_ports(plan, client.api.containers()) if client else {}
    for door, name in theirs.items():
        found.append(
            NotOurs(
                f"port {door}",
                "is taken",
                f"container {name} publishes it",
                f"end it (docker stop {name}), or choose another in topology.yml",
            )
        )
    found += _doors(plan, mine | set(theirs), prefix)
    routes = run([*prefix, "ip", "-j", "-4", "route", "show", "table", "all"]).stdout
    links = run([*prefix, "ip", "-j", "link", "show"]).stdout
    found += list(clashing_routes(plan, json.loads(routes or "[]"), own))
    for link in json.loads(links or "[]"):
        for segment in plan.segments:
            if link["ifname"] == segment.docker_bridge and segment.docker_bridge not in own:
                found.append(
                    NotOurs(
                        f"link {segment.docker_bridge}",
                        "is taken",
                        f"no Docker network {segment.docker_network} has it",
                        f"remove it: ip link delete {segment.docker_bridge}",
                    )
                )
    if len(found) == 1:
        raise found[0]
    if found:
        raise SeveralFailed("docker.up", found)


def clashing_routes(
    plan: Plan, routes: list[dict[str, Any]], own: set[str]
) -> Iterator[TwinstackError]:
    """Find routes of the host that a declared subnet would hide; our own bridges' aside."""
    seen: set[tuple[str, str]] = set()
    for route in routes:
        device, target = str(route.get("dev", "")), str(route.get("dst", "default"))
        if target == "default" or route.get("type") in {"local", "broadcast"} or device in own:
            continue
        try:
            network = ip_network(target)
        except (AddressValueError, ValueError):
            continue
        for segment in plan.segments:
            if isinstance(network, IPv4Network) and network.overlaps(segment.docker_subnet):
                if (segment.name, target) in seen:
                    continue
                seen.add((segment.name, target))
                yield NotOurs(
                    f"subnet {segment.docker_subnet}",
                    "is taken",
                    f"this host reaches {target} through {device}",
                    f"choose another docker_subnet for {segment.name} in topology.yml",
                )


def strangers_ports(plan: Plan, containers: list[dict[str, Any]]) -> dict[int, str]:
    """Find which of our doors containers that are not ours publish: port → container's name."""
    everywhere = {"0.0.0.0", "::", ""}
    return {
        door.port: str(one["Names"][0]).removeprefix("/")
        for one in containers
        if (one["Labels"] or {}).get(INSTANCE_LABEL) != plan.instance
        for port in one["Ports"]
        for door in plan.published_ports
        if door.world == "docker" and port.get("PublicPort") == door.port
        if {port.get("IP", ""), str(door.bind)} & everywhere or port["IP"] == str(door.bind)
    }


def listening(tables: str) -> set[tuple[str, int]]:
    """Read listening sockets out of /proc/net/tcp and tcp6: (address in hex, port)."""
    found: set[tuple[str, int]] = set()
    for line in tables.splitlines():
        words = line.split()
        if len(words) > 3 and words[3] == _LISTEN:
            address, _, port = words[1].rpartition(":")
            found.add((address, int(port, 16)))
    return found


def is_busy(door: PublishedPort, sockets: set[tuple[str, int]]) -> bool:
    """Say whether a listening socket is in the way of a door's address and port."""
    little_endian = int(door.bind).to_bytes(4, "little").hex().upper()
    for address, port in sockets:
        if port != door.port:
            continue
        everywhere = set(address) == {"0"}
        mapped = address == f"0000000000000000FFFF0000{little_endian}"
        if everywhere or door.bind == IPv4Address(0) or address == little_endian or mapped:
            return True
    return False


def _doors(plan: Plan, mine: set[int], prefix: tuple[str, ...]) -> Iterator[TwinstackError]:
    sockets = listening(
        run([*prefix, "cat", "/proc/net/tcp", "/proc/net/tcp6"], check=False).stdout
    )
    for door in plan.published_ports:
        if door.world == "docker" and door.port not in mine and is_busy(door, sockets):
            yield NotOurs(
                f"port {door.port}",
                "is taken",
                f"a process listens on {door.bind} already",
                f"end it (ss -ltnp 'sport = :{door.port}'), or choose another in topology.yml",
            )


def _engine_objects(plan: Plan, client: docker.DockerClient) -> Iterator[TwinstackError]:
    containers = {container_name(plan, replica) for replica in plan.replicas}
    for one in client.api.containers(all=True):
        for name in (name.removeprefix("/") for name in one["Names"]):
            if name in containers and one["Labels"].get(INSTANCE_LABEL) != plan.instance:
                yield _foreign("container", name, f"docker rm {name}")
    subnets = {segment.docker_network: segment for segment in plan.segments}
    for one in client.api.networks():
        ours = (one.get("Labels") or {}).get(INSTANCE_LABEL) == plan.instance
        if one["Name"] in subnets and not ours:
            yield _foreign("network", one["Name"], f"docker network rm {one['Name']}")
    volumes = {volume_name(plan, replica) for replica in plan.replicas if replica.launch.data}
    for one in client.api.volumes().get("Volumes") or []:
        ours = (one.get("Labels") or {}).get(INSTANCE_LABEL) == plan.instance
        if one["Name"] in volumes and not ours:
            yield _foreign("volume", one["Name"], f"docker volume rm {one['Name']}")


def _foreign(kind: str, name: str, remove: str) -> TwinstackError:
    return NotOurs(
        f"{kind} {name}",
        "is not ours",
        f"it has our name but no label {INSTANCE_LABEL}",
        f"rename or remove it: {remove}",
    )


def _networks(client: docker.DockerClient) -> set[str]:
    return {str(one["Name"]) for one in client.api.networks()}


def _published(plan: Plan, client: docker.DockerClient) -> set[int]:
    """List the host ports that our own containers hold."""
    mine = client.api.containers(filters={"label": f"{INSTANCE_LABEL}={plan.instance}"})
    return {
        int(port["PublicPort"]) for one in mine for port in one["Ports"] if "PublicPort" in port
    }
