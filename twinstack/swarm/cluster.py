"""Membership: make the cluster, join and leave it, and look at its nodes, services and tasks."""

from __future__ import annotations

import time
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Any

import docker
from docker.errors import APIError, NotFound

from twinstack.compose.render import DIGEST_LABEL, INSTANCE_LABEL
from twinstack.errors import StepFailed
from twinstack.swarm.facts import MemberFacts, Membership, TaskFacts
from twinstack.swarm.nodes import Node, stack_name

PORT = 2377
#: A node that has not been heard of for three of these is down. Docker's own choice is 5 s.
HEARTBEAT_S = 2
SETTLED_S = 30.0
_NS = 1_000_000_000
#: What an engine answers that manages nothing, or not yet again after its start.
_NO_MANAGER = frozenset({406, 503})
_RUNS = frozenset({"running", "ready"})


def init(client: docker.DockerClient, node: Node, pool: str) -> None:
    """Make a cluster with this node as its manager.

    Same as: docker swarm init --advertise-addr A --default-addr-pool P --dispatcher-heartbeat 2s.
    """
    client.swarm.init(
        advertise_addr=str(node.address),
        listen_addr=f"{node.address}:{PORT}",
        data_path_addr=str(node.address),
        default_addr_pool=[pool],
        subnet_size=IPv4Network(pool).max_prefixlen - 8,
        dispatcher_heartbeat_period=HEARTBEAT_S * _NS,
        task_history_retention_limit=1,
    )


def join(manager: docker.DockerClient, client: docker.DockerClient, node: Node) -> None:
    """Join the manager's cluster as a worker. Same as: docker swarm join --token T MANAGER."""
    manager.swarm.reload()
    told = manager.info()["Swarm"]
    client.swarm.join(
        remote_addrs=[f"{told['NodeAddr']}:{PORT}"],
        join_token=manager.swarm.attrs["JoinTokens"]["Worker"],
        listen_addr=f"{node.address}:{PORT}",
        advertise_addr=str(node.address),
        data_path_addr=str(node.address),
    )


def leave(client: docker.DockerClient) -> None:
    """Forget a cluster. Same as: docker swarm leave --force."""
    client.swarm.leave(force=True)


def forget(manager: docker.DockerClient, identity: str) -> None:
    """Let the manager forget a node. Same as: docker node rm --force NODE."""
    with suppress(NotFound):
        manager.api.remove_node(identity, force=True)


def settle(client: docker.DockerClient) -> None:
    """Wait until an engine that was started knows whether it is in a cluster still.

    Raises: StepFailed when it does not find out.
    """
    deadline = time.monotonic() + SETTLED_S
    while client.info()["Swarm"]["LocalNodeState"] == "pending":
        if time.monotonic() > deadline:
            raise StepFailed(
                "swarm",
                "does not settle",
                f"still pending after {SETTLED_S:g} s",
                "invoke swarm.status",
            )
        time.sleep(0.1)


def membership(
    client: docker.DockerClient, members: tuple[MemberFacts, ...], *, manager: bool
) -> tuple[Membership, str]:
    """Say whether a node is in the cluster of these members, and as which."""
    told = client.info()["Swarm"]
    identity = str(told.get("NodeID", ""))
    if told["LocalNodeState"] == "inactive":
        return "none", ""
    if manager:
        return ("this cluster" if told.get("ControlAvailable") else "another"), identity
    known = {one.identity for one in members}
    return ("this cluster" if identity in known else "another"), identity


def members(client: docker.DockerClient) -> tuple[MemberFacts, ...]:
    """List the nodes as the manager sees them; () where it manages none."""
    try:
        found = client.api.nodes()
    except APIError as error:
        if error.status_code in _NO_MANAGER:
            return ()
        raise
    told = (
        MemberFacts(
            identity=str(one["ID"]),
            name=str(one["Description"].get("Hostname", "")),
            manager=one["Spec"]["Role"] == "manager",
            ready=one["Status"]["State"] == "ready",
            address=str(one["Status"].get("Addr", "")),
        )
        for one in found
    )
    return tuple(sorted(told, key=lambda one: (not one.manager, one.name, not one.ready)))


def services(client: docker.DockerClient, instance: str) -> dict[str, dict[str, Any]]:
    """Give the services of ours by their names, as the manager tells them."""
    try:
        found: list[dict[str, Any]] = client.api.services(  # type: ignore[no-untyped-call]
            filters={"label": f"{INSTANCE_LABEL}={instance}"}
        )
    except APIError as error:
        if error.status_code in _NO_MANAGER:
            return {}
        raise
    prefix = f"{stack_name(instance)}_"
    return {str(one["Spec"]["Name"]).removeprefix(prefix): one for one in found}


def unused(
    client: docker.DockerClient, instance: str, wanted: frozenset[str]
) -> tuple[tuple[str, str, str], ...]:
    """List networks, configs and secrets of ours that no file names any more: kind, name, id."""
    ours = {"label": f"{INSTANCE_LABEL}={instance}"}
    told = [
        ("network", str(one["Name"]), str(one["Id"])) for one in client.api.networks(filters=ours)
    ]
    for kind, found in (
        ("config", client.api.configs(filters=ours)),  # type: ignore[no-untyped-call]
        ("secret", client.api.secrets(filters=ours)),
    ):
        told += [(kind, str(one["Spec"]["Name"]), str(one["ID"])) for one in found]
    return tuple(one for one in sorted(told) if one[1] not in wanted)


def remove_unused(client: docker.DockerClient, kind: str, identity: str) -> None:
    """Remove one of those. One that a task still holds on to stays until the next time."""
    remove = {
        "network": client.api.remove_network,
        "config": client.api.remove_config,
        "secret": client.api.remove_secret,
    }[kind]
    try:
        remove(identity)
    except APIError as error:
        if not error.is_client_error():
            raise


def digest_of(service: dict[str, Any]) -> str:
    """Give the digest of the file that a service was deployed from."""
    return str(service["Spec"].get("Labels", {}).get(DIGEST_LABEL, ""))


def tasks(
    client: docker.DockerClient, known: tuple[MemberFacts, ...], found: dict[str, dict[str, Any]]
) -> tuple[TaskFacts, ...]:
    """List the tasks of services that Swarm wants to run, those it is preparing too."""
    by_id = {one["ID"]: (name, one) for name, one in found.items()}
    hosts = {one.identity: one.name for one in known}
    listed: list[dict[str, Any]] = client.api.tasks()  # type: ignore[no-untyped-call]
    told = [
        _task(one, *by_id[one["ServiceID"]], hosts)
        for one in listed
        if one.get("ServiceID") in by_id and one["DesiredState"] in _RUNS
    ]
    return tuple(sorted(told, key=lambda one: (one.service, one.slot, one.node, one.state)))


def _task(
    told: dict[str, Any], name: str, service: dict[str, Any], hosts: dict[str, str]
) -> TaskFacts:
    status = told["Status"]
    attached = told.get("NetworksAttachments") or []
    return TaskFacts(
        service=name,
        slot=int(told.get("Slot", 0)),
        node=hosts.get(told.get("NodeID", ""), ""),
        state=str(status["State"]),
        wanted=str(told["DesiredState"]),
        addresses=tuple(
            str(address).partition("/")[0] for one in attached for address in one["Addresses"] or ()
        ),
        detail=str(status.get("Err", "")),
        container=str((status.get("ContainerStatus") or {}).get("ContainerID", "")),
        current=told["Spec"]["ContainerSpec"] == service["Spec"]["TaskTemplate"]["ContainerSpec"],
    )
