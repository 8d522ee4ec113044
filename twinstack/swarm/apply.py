"""Take the steps of `swarm.up`, phase by phase: observe, take the first phase, observe again."""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor

from twinstack.compose.engine import ensure_engine
from twinstack.errors import StepFailed
from twinstack.linux import files
from twinstack.linux.process import run
from twinstack.reconcile import Progress, Watch, run_step
from twinstack.swarm import cluster, hosts, image_transfer, teardown
from twinstack.swarm.client import client_of, clients, docker_command
from twinstack.swarm.nodes import SwarmNode, SwarmPaths
from twinstack.swarm.observe import image_ids, list_members, observe
from twinstack.swarm.render import object_names
from twinstack.swarm.steps import (
    DeployedStack,
    ForgetMember,
    HostOnlyPorts,
    InitCluster,
    JoinCluster,
    LeaveCluster,
    NodeEngine,
    NodeImages,
    RemoveNode,
    RenderedFile,
    SimulatedHosts,
    SwarmRemoval,
    SwarmStep,
    first_phase,
    swarm_changes,
)
from twinstack.swarm.teardown import translate

DEPLOY_TIMEOUT_S = 60.0


def apply(
    instance: str,
    nodes: tuple[SwarmNode, ...],
    steps: tuple[SwarmStep, ...],
    progress: Progress,
    watch: Watch,
) -> None:
    """Take phase after phase until nothing differs. Raises: StepFailed, and as the steps."""

    def take(step: SwarmRemoval | SwarmStep) -> None:
        with run_step(watch, step.name, translate=translate):
            _take(step)

    taken: set[str] = set()
    while changes := swarm_changes(steps, observe(instance, nodes)):
        phase = first_phase(changes)
        for change in phase:
            if change.step.name in taken:
                failure = "differs still after its step"
                raise StepFailed(change.step.name, failure, change.reason, "invoke swarm.status")
            progress(f"{change.step.name}: {change.reason}")
        with ThreadPoolExecutor(len(phase)) as pool:
            list(pool.map(take, [change.step for change in phase]))
        taken |= {change.step.name for change in phase}


def remove_unused(instance: str, manager: SwarmNode, progress: Progress, watch: Watch) -> None:
    """Remove the objects of an earlier stack file, once no task needs them."""
    wanted = object_names(SwarmPaths(instance).stack_file.read_text(encoding="utf-8"), instance)
    with client_of(manager) as client:
        for kind, name, identity in cluster.unused(client, instance, wanted):
            progress(f"{kind} {name}: removing: no service uses it any more")
            with run_step(watch, f"{kind} {name}: remove", translate=translate):
                cluster.remove_unused(client, kind, identity)


def _take(step: SwarmRemoval | SwarmStep) -> None:
    match step:
        case RemoveNode(name, instance, manager):
            teardown.remove_node(instance, name)
            _forget_by_name(manager, name)
        case ForgetMember(identity, manager):
            with client_of(manager) as client:
                cluster.forget(client, identity)
        case SimulatedHosts(instance, nodes, underlay):
            hosts.make(instance, nodes, underlay)
        case NodeEngine(node):
            client = ensure_engine(node.engine, lambda _line: None)
            cluster.settle(client)
            client.close()
        case NodeImages(node, instance, source_url):
            with client_of(node) as client:
                lacking = step.lacking(image_ids(client))
            image_transfer.transfer(instance, source_url, node, lacking)
        case HostOnlyPorts(node):
            save = run([*node.enter, *["iptables-save", "-t", "raw"]]).stdout
            for rule in step.missing(tuple(save.splitlines())):
                insert = shlex.split(f"iptables -w -t raw -I {rule}")
                run([*node.enter, *insert])
        case LeaveCluster(node):
            with client_of(node) as client:
                client.swarm.leave(force=True)
        case InitCluster(manager, pool):
            with client_of(manager) as client:
                cluster.init(client, manager, pool)
        case JoinCluster(node, manager):
            with client_of(manager) as managing, client_of(node) as client:
                cluster.join(managing, client, node)
        case RenderedFile(path, text):
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, text)
        case DeployedStack(instance, manager):
            command = docker_command(instance, manager.engine.url, *step.arguments)
            run(command, timeout_s=DEPLOY_TIMEOUT_S)


def _forget_by_name(manager: SwarmNode, name: str) -> None:
    """Have the manager forget a removed node at once, if it answers, so that its tasks move."""
    with clients([manager]) as connected:
        client = connected[manager.name]
        if client:
            for member in list_members(client):
                if member.name == name:
                    cluster.forget(client, member.identity)
