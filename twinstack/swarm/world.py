"""The plan on a cluster of engines, as the rest of the project uses it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path

from twinstack.compose.engine import connect
from twinstack.compose.engine_paths import DEFAULT, EnginePaths
from twinstack.compose.failures import RAW, translate, translated
from twinstack.compose.render import SHAPE_LABEL, image_name
from twinstack.compose.world import REPOSITORY, DockerWorld
from twinstack.errors import CannotTell, Missing, NotHealthy, WrongUse
from twinstack.model.placement import Host, hosts_of
from twinstack.model.plan import Plan
from twinstack.model.topology import HostsSpec
from twinstack.reconcile import UNWATCHED, Preview, Progress, Watch, run_step
from twinstack.software.secrets import ensure_secrets
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.swarm import hosts, teardown
from twinstack.swarm.apply import apply, remove_unused
from twinstack.swarm.client import client_of
from twinstack.swarm.exposure import Exposure, exposure
from twinstack.swarm.facts import SwarmFacts, TaskFacts
from twinstack.swarm.nodes import SwarmNode, SwarmPaths
from twinstack.swarm.observe import has_ipvs, image_ids, known_nodes, list_services, observe
from twinstack.swarm.render import Contents, digest, rendered_files, secret_files, services
from twinstack.swarm.status import rows
from twinstack.swarm.steps import SwarmStep, swarm_changes, swarm_steps
from twinstack.world import ServiceState, require_root

#: Swarm is for networks that span hosts: each tier gets its own.
DEFAULT_SHAPE = "tiered"
DEFAULT_COUNT = 2
#: An engine takes some 100 MB of memory, and half a gigabyte of disk for its images.
MOST = 5
POLL_S = 0.3
_LOG_LINES = 12


@dataclass(frozen=True)
class SwarmWorld:
    """One deployment of a plan on a cluster of simulated hosts."""

    plan: Plan
    hosts: tuple[Host, ...]
    underlay: IPv4Network
    source: EnginePaths = DEFAULT  # the engine that images are built in
    repository: Path = REPOSITORY
    watch: Watch = UNWATCHED

    @cached_property
    def nodes(self) -> tuple[SwarmNode, ...]:
        """Give the declared nodes; the first is the manager."""
        return tuple(
            SwarmNode(self.plan.instance, host.name, manager=number == 0, address=host.address)
            for number, host in enumerate(self.hosts)
        )

    @property
    def _by_name(self) -> dict[str, SwarmNode]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def exposure(self) -> Exposure:
        """Decide how services are reached, by what this kernel can do."""
        return exposure(has_ipvs())

    @translated("swarm.up")
    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring the plan about and wait until every task is healthy.

        Goes on from where an earlier `up` was stopped. Raises: NotOurs, Locked; StepFailed that
        names the step; NotHealthy with the end of the log.
        """
        require_root("swarm.up")
        with self._locked():
            try:
                hosts.check(self.nodes)
                self._build(progress)
                apply(self.nodes, self._steps(), progress, self.watch)
                states = self._wait(timeout_s, progress)
                remove_unused(self.nodes[0], progress, self.watch)
            except KeyboardInterrupt:
                progress(
                    "swarm.up: interrupted: what is done stays; invoke swarm.up continues from "
                    "there, invoke swarm.down removes it"
                )
                raise
            return states

    @translated("swarm.up", reading=True)
    def preview(self) -> Preview:
        """List what `up` would do now. Raises: Missing without root."""
        require_root("swarm.plan")
        steps = self._steps()
        built = len(self._image_ids()) == len(services(self.plan))
        changes = swarm_changes(self.nodes, steps, observe(self.nodes))
        return Preview(len(steps), changes, () if built else ("images are to be built first",))

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        """Remove the cluster, its data and its hosts. Works after any crash."""
        return teardown.down(self.plan.instance, progress=progress, watch=self.watch)

    @translated("swarm.status", reading=True)
    def facts(self) -> SwarmFacts:
        """Observe the cluster now. Raises: Missing without root."""
        require_root("swarm.status")
        return observe(self.nodes)

    def status(self) -> tuple[ServiceState, ...]:
        """Give a row for each task that there should be, as observed now."""
        return self.rows(self.facts())

    def rows(self, facts: SwarmFacts) -> tuple[ServiceState, ...]:
        """Give a row for each task that there should be, from these facts."""
        return rows(self.plan, self.exposure, [node.name for node in self.nodes], facts.tasks)

    def exec(self, host: str, command: Sequence[str]) -> int:
        """Run a command on a host, on the caller's terminal; give its exit code.

        DOCKER_HOST is that host's engine. Raises: Missing when the host is not up.
        """
        node = self._node(host)
        environment = {**os.environ, "DOCKER_HOST": node.engine.url}
        return subprocess.run([*node.enter, *command], env=environment, check=False).returncode

    def lose(self, host: str) -> bool:
        """Kill an engine and everything in it, as a power cut would; say whether anything ran.

        `up` starts it again. Raises: Locked; Missing when the host is not up.
        """
        with self._locked():
            return teardown.stop_engine(self._node(host))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        paths = InstancePaths(self.plan.instance)
        with locked(paths, "swarm"):
            try:
                yield
            finally:
                remove_run(paths, "swarm")

    def _build(self, progress: Progress) -> None:
        """Build the images that are absent, in the engine that keeps this machine's."""
        with run_step(self.watch, "images: build", translate=translate):
            DockerWorld(self.plan, self.source, self.repository).build(progress=progress)
            ensure_secrets(SwarmPaths(self.plan.instance).secrets, self.plan)

    def _steps(self) -> tuple[SwarmStep, ...]:
        """List the steps. Names in the stack file hold what images and secrets contain by now."""
        plan, secrets, images = self.plan, SwarmPaths(self.plan.instance).secrets, self._image_ids()
        files = secret_files(plan, secrets).items()
        there = {secret: path for secret, path in files if path.exists()}
        digests = {secret: digest(path.read_bytes()) for secret, path in there.items()}
        rendered = rendered_files(plan, self.exposure, Contents(images, digests))
        return swarm_steps(plan, self.underlay, self.nodes, self.source.url, images, rendered)

    def _image_ids(self) -> dict[str, str]:
        """Map each service to the ID of its image, where that is built."""
        client = connect(self.source)
        if client is None:
            return {}
        with closing(client):
            built = image_ids(client)
        names = [replica.service for replica in services(self.plan)]
        tags = {service: image_name(self.plan, service) for service in names}
        return {service: built[tag] for service, tag in tags.items() if tag in built}

    def _node(self, host: str) -> SwarmNode:
        require_root("swarm.exec")
        node = self._by_name.get(host)
        if node is None:
            cause = f"there are {', '.join(self._by_name)}"
            raise WrongUse(host, "is no host", cause, "choose one of them")
        if not hosts.is_ready(node):
            raise Missing(f"host {host}", "is not up", "", "run: invoke swarm.up")
        return node

    def _wait(self, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Wait until every task is healthy and every node ready. Raises: NotHealthy."""
        started = time.monotonic()
        reported: set[str] = set()
        while True:
            facts = self.facts()
            states = self.rows(facts)
            elapsed = time.monotonic() - started
            waiting = {state.service for state in states if state.state != "healthy"}
            for service in sorted({state.service for state in states} - waiting - reported):
                progress(f"{service}: healthy after {elapsed:.1f} s")
                reported.add(service)
            lost = [member.name for member in facts.members if not member.ready]
            if not waiting and not lost:
                return states
            if elapsed > timeout_s:
                bound = f"not within {timeout_s:g} s"
                if waiting:
                    raise self._not_healthy(states, facts.tasks, bound)
                raise NotHealthy(lost[0], "is not ready", bound, "invoke swarm.status")
            time.sleep(POLL_S)

    def _not_healthy(
        self, states: Sequence[ServiceState], tasks: Sequence[TaskFacts], bound: str
    ) -> NotHealthy:
        """Name the service to look at first: a store before those that need it."""
        stores = {replica.service for replica in services(self.plan) if replica.is_store}
        worst = min(
            (state for state in states if state.state != "healthy"),
            key=lambda state: (state.service not in stores, state.state == "absent"),
        )
        detail = f" ({worst.detail})" if worst.detail else ""
        error = NotHealthy(worst.name, f"is {worst.state}{detail}", bound, "invoke swarm.status")
        for task in tasks:
            node = self._by_name.get(task.node)
            if task.service != worst.service or node is None or not task.container:
                continue
            with suppress(Missing, CannotTell, *RAW), client_of(node) as client:
                log = client.containers.get(task.container).logs(tail=_LOG_LINES)
                error.add_note(log.decode(errors="replace").strip() or "its log is empty")
        return error


@translated("swarm.status", reading=True)
def shape_present(instance: str) -> str | None:
    """Give the shape of the stack that a cluster has, by its services' labels; None for none."""
    try:
        with client_of(SwarmNode(instance, "host-1", manager=True)) as client:
            deployed = list_services(client, instance).values()
    except Missing:
        return None
    return next((service["Spec"]["Labels"].get(SHAPE_LABEL) for service in deployed), None)


def hosts_for(instance: str, spec: HostsSpec, count: int | None) -> tuple[Host, ...]:
    """Give the hosts of an instance's cluster: as many as asked for, or as there are.

    Raises: WrongUse for a count out of range, or real machines.
    """
    if spec.machines:
        cause, remedy = "it runs on simulated hosts only", "leave machines out of topology.yml"
        raise WrongUse("hosts.machines", "are not for swarm.up", cause, remedy)
    if count is None:
        count = len(known_nodes(instance)) or DEFAULT_COUNT
    if not 2 <= count <= MOST:
        cause = f"2 to {MOST} hosts are simulated"
        raise WrongUse("--hosts", f"cannot be {count}", cause, "choose another number")
    return hosts_of(spec, count)
