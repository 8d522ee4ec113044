"""Observe a cluster: hosts, engines, members and services, as facts; changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError

from twinstack.compose.render import DIGEST_LABEL, INSTANCE_LABEL
from twinstack.linux.process import run
from twinstack.swarm import hosts
from twinstack.swarm.client import clients
from twinstack.swarm.facts import MemberFacts, Membership, NodeFacts, SwarmFacts, TaskFacts
from twinstack.swarm.nodes import SwarmNode, SwarmPaths, stack_name

_IPVS = Path("/proc/net/ip_vs")
#: What an engine answers that is no manager, or not one yet after its start.
_NO_MANAGER = frozenset({406, 503})
_RUNS = frozenset({"running", "ready"})
_SAVE_RAW = ("iptables-save", "-t", "raw")


def has_ipvs() -> bool:
    """Say whether the kernel has IPVS, or a module of it to load."""
    if _IPVS.exists():
        return True
    dry_run = ["modprobe", "--dry-run", "--quiet", "ip_vs"]
    return bool(shutil.which("modprobe")) and run(dry_run, check=False).returncode == 0


def observe(nodes: Sequence[SwarmNode]) -> SwarmFacts:
    """Observe the nodes and what the first one manages. Raises: Missing, CannotTell."""
    instance = nodes[0].instance
    paths = SwarmPaths(instance)
    with clients(nodes) as by_name:
        manager = by_name[nodes[0].name]
        members = list_members(manager) if manager else ()
        services = list_services(manager, instance) if members and manager else {}
        files: dict[Path, str] = {}
        for path in (paths.stack_file, paths.nginx_conf):
            with suppress(FileNotFoundError):
                files[path] = path.read_text(encoding="utf-8")
        declared = {node.name for node in nodes}
        return SwarmFacts(
            nodes={node.name: _node(node, by_name[node.name], members) for node in nodes},
            members=members,
            deployed={name: _digest(service) for name, service in services.items()},
            tasks=_tasks(manager, members, services) if services and manager else (),
            surplus=tuple(name for name in known_nodes(instance) if name not in declared),
            files=files,
        )


def known_nodes(instance: str) -> tuple[str, ...]:
    """Name the nodes of which anything is there: a directory or a host."""
    paths = SwarmPaths(instance)
    directories = [*paths.run.glob("host-*"), *paths.lib.glob("host-*")]
    names = {directory.name for directory in directories if directory.is_dir()}
    return tuple(sorted(names | set(hosts.names_present(instance))))


def _node(
    node: SwarmNode, client: docker.DockerClient | None, members: tuple[MemberFacts, ...]
) -> NodeFacts:
    host = hosts.is_ready(node)
    facts = NodeFacts(host, raw_rules=raw_rules(node, check=False) if host else ())
    if client is None:
        return facts
    swarm = client.info()["Swarm"]
    identity = str(swarm.get("NodeID", ""))
    member = _membership(swarm, identity, members, manager=node.manager)
    images = image_ids(client)
    return replace(facts, engine=True, member=member, identity=identity, images=images)


def raw_rules(node: SwarmNode, *, check: bool = True) -> tuple[str, ...]:
    """List the rules in a host's raw table, as iptables-save prints them. Raises: StepFailed."""
    return tuple(run([*node.enter, *_SAVE_RAW], check=check).stdout.splitlines())


def _membership(
    swarm: dict[str, Any], identity: str, members: tuple[MemberFacts, ...], *, manager: bool
) -> Membership:
    if swarm["LocalNodeState"] == "inactive":
        return "none"
    if manager:
        return "this cluster" if swarm.get("ControlAvailable") else "another"
    if not members:
        return "unknown"
    known = {member.identity for member in members}
    return "this cluster" if identity in known else "another"


def image_ids(client: docker.DockerClient) -> dict[str, str]:
    """Map the tags of an engine's images to image IDs."""
    images = client.api.images()
    return {str(tag): str(image["Id"]) for image in images for tag in image["RepoTags"] or ()}


def list_members(client: docker.DockerClient) -> tuple[MemberFacts, ...]:
    """List the nodes as the manager sees them; () for an engine that is no manager."""
    members = (
        MemberFacts(
            identity=str(node["ID"]),
            name=str(node["Description"].get("Hostname", "")),
            manager=node["Spec"]["Role"] == "manager",
            ready=node["Status"]["State"] == "ready",
            address=str(node["Status"].get("Addr", "")),
        )
        for node in _managed(client.api.nodes)
    )
    return tuple(sorted(members, key=lambda member: (not member.manager, member.name)))


def list_services(client: docker.DockerClient, instance: str) -> dict[str, dict[str, Any]]:
    """Map our services' names, without the stack's, to what the manager has of them."""
    ours = {"label": f"{INSTANCE_LABEL}={instance}"}
    services = _managed(partial(client.api.services, filters=ours))
    prefix = f"{stack_name(instance)}_"
    return {str(service["Spec"]["Name"]).removeprefix(prefix): service for service in services}


def _managed(ask: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Ask a manager; [] from an engine that is none."""
    try:
        return ask()
    except APIError as error:
        if error.status_code in _NO_MANAGER:
            return []
        raise


def _digest(service: dict[str, Any]) -> str:
    return str(service["Spec"].get("Labels", {}).get(DIGEST_LABEL, ""))


def _tasks(
    client: docker.DockerClient,
    members: tuple[MemberFacts, ...],
    services: dict[str, dict[str, Any]],
) -> tuple[TaskFacts, ...]:
    """List the services' tasks that Swarm wants to run, or prepares."""
    by_id = {service["ID"]: (name, service) for name, service in services.items()}
    node_names = {member.identity: member.name for member in members}
    listed: list[dict[str, Any]] = client.api.tasks()  # type: ignore[no-untyped-call]
    tasks = [
        _task(task, *by_id[task["ServiceID"]], node_names)
        for task in listed
        if task.get("ServiceID") in by_id and task["DesiredState"] in _RUNS
    ]
    return tuple(sorted(tasks, key=lambda task: (task.service, task.slot, task.node, task.state)))


def _task(
    task: dict[str, Any], service: str, definition: dict[str, Any], node_names: dict[str, str]
) -> TaskFacts:
    status, spec = task["Status"], definition["Spec"]["TaskTemplate"]["ContainerSpec"]
    attachments = task.get("NetworksAttachments") or []
    return TaskFacts(
        service=service,
        slot=int(task.get("Slot", 0)),
        node=node_names.get(task.get("NodeID", ""), ""),
        state=str(status["State"]),
        desired=str(task["DesiredState"]),
        addresses=tuple(
            str(address).partition("/")[0]
            for attachment in attachments
            for address in attachment["Addresses"] or ()
        ),
        detail=str(status.get("Err", "")),
        container=str((status.get("ContainerStatus") or {}).get("ContainerID", "")),
        current=task["Spec"]["ContainerSpec"] == spec,
    )
