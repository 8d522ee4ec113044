"""Change the cluster's membership: init, join, leave; and remove what no service uses."""

from __future__ import annotations

import time
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Any

import docker
from docker.errors import APIError, NotFound

from twinstack.compose.render import INSTANCE_LABEL
from twinstack.errors import StepFailed
from twinstack.swarm.nodes import SwarmNode

PORT = 2377
#: A node is down after three missed heartbeats. Docker's default is 5 s.
HEARTBEAT_S = 2
SETTLED_S = 30.0
_NS = 1_000_000_000


def init(client: docker.DockerClient, node: SwarmNode, pool: str) -> None:
    """Create a cluster with this node as its manager.

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


def join(manager: docker.DockerClient, client: docker.DockerClient, node: SwarmNode) -> None:
    """Join the manager's cluster as a worker. Same as: docker swarm join --token T MANAGER."""
    manager.swarm.reload()
    client.swarm.join(
        remote_addrs=[f"{manager.info()['Swarm']['NodeAddr']}:{PORT}"],
        join_token=manager.swarm.attrs["JoinTokens"]["Worker"],
        listen_addr=f"{node.address}:{PORT}",
        advertise_addr=str(node.address),
        data_path_addr=str(node.address),
    )


def forget(manager: docker.DockerClient, identity: str) -> None:
    """Remove a node from the manager's list. Same as: docker node rm --force NODE."""
    with suppress(NotFound):
        manager.api.remove_node(identity, force=True)


def settle(client: docker.DockerClient) -> None:
    """Wait until a started engine knows whether it is still in a cluster. Raises: StepFailed.

    A manager knows once it lists its nodes: before that it has no leader.
    """
    deadline = time.monotonic() + SETTLED_S
    while _is_pending(client.info()["Swarm"]):
        if time.monotonic() > deadline:
            cause = f"still pending after {SETTLED_S:g} s"
            raise StepFailed("swarm", "does not settle", cause, "invoke swarm.status")
        time.sleep(0.1)


def _is_pending(swarm: dict[str, Any]) -> bool:
    leaderless = swarm.get("ControlAvailable") and not swarm.get("Nodes")
    return bool(leaderless) or swarm["LocalNodeState"] == "pending"


def unused(
    client: docker.DockerClient, instance: str, wanted: frozenset[str]
) -> tuple[tuple[str, str, str], ...]:
    """List our networks, configs and secrets that no file names any more: kind, name, ID."""
    ours = {"label": f"{INSTANCE_LABEL}={instance}"}
    networks = client.api.networks(filters=ours)
    objects = [("network", str(network["Name"]), str(network["Id"])) for network in networks]
    for kind, listed in (
        ("config", client.api.configs(filters=ours)),  # type: ignore[no-untyped-call]
        ("secret", client.api.secrets(filters=ours)),
    ):
        objects += [(kind, str(item["Spec"]["Name"]), str(item["ID"])) for item in listed]
    return tuple(found for found in sorted(objects) if found[1] not in wanted)


def remove_unused(client: docker.DockerClient, kind: str, identity: str) -> None:
    """Remove one of these objects. One that a task still uses stays until the next time."""
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
