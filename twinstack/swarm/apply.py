"""Take the steps of `swarm.up`, phase by phase: observe, take the first phase, observe again."""

from __future__ import annotations

import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from ipaddress import IPv4Network
from typing import Any

import docker
from docker.errors import APIError, NotFound

from twinstack.compose.engine import ensure_engine
from twinstack.compose.failures import translate
from twinstack.compose.render import INSTANCE_LABEL
from twinstack.errors import Missing, StepFailed
from twinstack.linux import files
from twinstack.linux.process import run
from twinstack.reconcile import Action, Change, Progress, Watch, run_step
from twinstack.swarm import hosts, steps, teardown
from twinstack.swarm.client import client_of, docker_command, transfer_images
from twinstack.swarm.nodes import SwarmNode, SwarmPaths
from twinstack.swarm.observe import image_ids, list_members, observe, raw_rules
from twinstack.swarm.render import object_names
from twinstack.swarm.steps import SwarmStep, first_phase, swarm_changes

DEPLOY_TIMEOUT_S = 60.0
PORT = 2377
#: A node is down after three missed heartbeats. Docker's default is 5 s.
HEARTBEAT_S = 2
SETTLED_S = 30.0
_NS = 1_000_000_000


def apply(
    nodes: tuple[SwarmNode, ...], wanted: tuple[SwarmStep, ...], progress: Progress, watch: Watch
) -> None:
    """Take phase after phase until nothing differs. Raises: StepFailed, and as the steps."""

    def take(change: Change[Action]) -> None:
        with run_step(watch, change.step.name, translate=translate):
            _take(change.step)

    taken: set[str] = set()
    while changes := swarm_changes(nodes, wanted, observe(nodes)):
        phase = first_phase(changes)
        for change in phase:
            if change.step.name in taken:
                failure = "differs still after its step"
                raise StepFailed(change.step.name, failure, change.reason, "invoke swarm.status")
            progress(f"{change.step.name}: {change.reason}")
        with ThreadPoolExecutor(len(phase)) as pool:
            list(pool.map(take, phase))
        taken |= {change.step.name for change in phase}


def remove_unused(manager: SwarmNode, progress: Progress, watch: Watch) -> None:
    """Remove the objects of an earlier stack file, once no task needs them."""
    instance = manager.instance
    wanted = object_names(SwarmPaths(instance).stack_file.read_text(encoding="utf-8"), instance)
    with client_of(manager) as client:
        ours = {"label": f"{INSTANCE_LABEL}={instance}"}
        config, network, secret = client.configs, client.networks, client.secrets
        kinds: dict[str, Any] = {"config": config, "network": network, "secret": secret}
        objects = [(kind, item) for kind in kinds for item in kinds[kind].list(filters=ours)]
        for kind, item in objects:
            if item.name in wanted:
                continue
            progress(f"{kind} {item.name}: removing: no service uses it any more")
            with run_step(watch, f"{kind} {item.name}: remove", translate=translate):
                try:
                    item.remove()
                except APIError as error:  # one that a task still uses stays until the next time
                    if not error.is_client_error():
                        raise


def _take(step: Action) -> None:
    match step:
        case steps.RemoveNode(node, manager):
            teardown.remove_node(node)
            _forget_by_name(manager, node.name)
        case steps.ForgetMember(manager, identity):
            with client_of(manager) as client:
                _forget(client, identity)
        case steps.SimulatedHosts(_, nodes, underlay):
            hosts.make(nodes, underlay)
        case steps.NodeEngine(node):
            with closing(ensure_engine(node.engine, lambda _line: None)) as client:
                _settle(client)
        case steps.NodeImages(node, source_url):
            with client_of(node) as client:
                lacking = step.lacking(image_ids(client))
            transfer_images(source_url, node, lacking)
        case steps.HostOnlyPorts(node):
            for rule in step.missing(raw_rules(node)):
                run([*node.enter, *shlex.split(f"iptables -w -t raw -I {rule}")])
        case steps.LeaveCluster(node):
            with client_of(node) as client:
                client.swarm.leave(force=True)
        case steps.InitCluster(manager, pool):
            with client_of(manager) as client:
                _init(client, manager, pool)
        case steps.JoinCluster(node, manager):
            with client_of(manager) as managing, client_of(node) as client:
                _join(managing, client, node)
        case steps.RenderedFile(_, path, text):
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, text)
        case steps.DeployedStack(manager):
            command = docker_command(manager.instance, manager.engine.url, *step.arguments)
            run(command, timeout_s=DEPLOY_TIMEOUT_S)


def _forget_by_name(manager: SwarmNode, name: str) -> None:
    """Have the manager forget a removed node at once, if it answers, so that its tasks move."""
    with suppress(Missing), client_of(manager) as client:
        for member in list_members(client):
            if member.name == name:
                _forget(client, member.identity)


def _init(client: docker.DockerClient, node: SwarmNode, pool: str) -> None:
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


def _join(manager: docker.DockerClient, client: docker.DockerClient, node: SwarmNode) -> None:
    """Join the manager's cluster as a worker. Same as: docker swarm join --token T MANAGER."""
    manager.swarm.reload()
    client.swarm.join(
        remote_addrs=[f"{manager.info()['Swarm']['NodeAddr']}:{PORT}"],
        join_token=manager.swarm.attrs["JoinTokens"]["Worker"],
        listen_addr=f"{node.address}:{PORT}",
        advertise_addr=str(node.address),
        data_path_addr=str(node.address),
    )


def _forget(manager: docker.DockerClient, identity: str) -> None:
    """Remove a node from the manager's list. Same as: docker node rm --force NODE."""
    with suppress(NotFound):
        manager.api.remove_node(identity, force=True)


def _settle(client: docker.DockerClient) -> None:
    """Wait until a started engine knows whether it is still in a cluster. Raises: StepFailed.

    A manager knows once it lists its nodes: before that it has no leader.
    """
    deadline = time.monotonic() + SETTLED_S
    while True:
        swarm = client.info()["Swarm"]
        leaderless = swarm.get("ControlAvailable") and not swarm.get("Nodes")
        if not leaderless and swarm["LocalNodeState"] != "pending":
            return
        if time.monotonic() > deadline:
            cause = f"still pending after {SETTLED_S:g} s"
            raise StepFailed("swarm", "does not settle", cause, "invoke swarm.status")
        time.sleep(0.1)
