"""The plan on a cluster of engines: bring it about, look at it; `teardown` takes it away."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from twinstack.compose.engine import DEFAULT, EnginePaths, require_root
from twinstack.compose.failures import RAW, translated
from twinstack.compose.render import SHAPE_LABEL
from twinstack.compose.world import REPOSITORY
from twinstack.errors import CannotTell, Missing, NotHealthy, TwinstackError
from twinstack.model.placement import Host, hosts_of
from twinstack.model.plan import Plan
from twinstack.model.topology import HostsSpec
from twinstack.reconcile import UNWATCHED, Progress, Watch
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.swarm import cluster, engines, hosts, teardown
from twinstack.swarm.apply import Applying, client_of
from twinstack.swarm.exposure import Exposure, exposure
from twinstack.swarm.facts import Facts, TaskFacts
from twinstack.swarm.nodes import Node, node
from twinstack.swarm.observe import has_ipvs, in_host, known_nodes, observe
from twinstack.swarm.render import is_store, services
from twinstack.swarm.status import rows
from twinstack.swarm.steps import Step
from twinstack.world import ServiceState

#: Swarm is what one uses to have networks of their own for tiers on many hosts.
DEFAULT_SHAPE = "tiered"
DEFAULT_COUNT = 2
#: An engine takes some 100 MB of memory, and half a gigabyte of disk for its images.
MOST = 5
POLL_S = 0.3
_LOG_LINES = 12


@dataclass(frozen=True)
class SwarmWorld:
    """One deployment of a plan on a cluster, its hosts joined by an underlay.

    `source` is the engine that images are built in.
    """

    plan: Plan
    hosts: tuple[Host, ...]
    underlay: IPv4Network
    source: EnginePaths = DEFAULT
    repository: Path = REPOSITORY
    watch: Watch = UNWATCHED

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Give the nodes that there are to be; the first is the manager."""
        return tuple(
            node(self.plan.instance, host, manager=number == 0)
            for number, host in enumerate(self.hosts)
        )

    @cached_property
    def exposure(self) -> Exposure:
        """Decide how services are reached, by what this kernel can do."""
        return exposure(has_ipvs())

    @translated("swarm.up")
    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring the plan about and wait until every task is healthy.

        What an earlier one left half done, it goes on from. Raises: NotOurs, Locked; StepFailed
        that names the step; NotHealthy with the log's tail.
        """
        require_root("Swarm", "it makes hosts and engines")
        places = InstancePaths(self.plan.instance)
        with locked(places, "swarm"):
            try:
                applying = self._applying
                hosts.check(self.plan.instance, self.nodes)
                applying.build(progress)
                applying.converge(progress)
                found = self._await(timeout_s, progress)
                applying.tidy(progress)
                return found
            except KeyboardInterrupt:
                progress(
                    "swarm.up: stopped half way: what is done stays; invoke swarm.up goes "
                    "on from there, invoke swarm.down takes it away"
                )
                raise
            finally:
                remove_run(places, "swarm")

    @translated("swarm.up", reading=True)
    def preview(self) -> tuple[Step, ...]:
        """List what `up` would do, now. Raises: Missing without root."""
        require_root("Swarm", "it makes hosts and engines")
        return self._applying.steps()

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        """Remove the cluster, its data and its hosts. Works after any crash."""
        return teardown.down(self.plan.instance, progress=progress, watch=self.watch)

    @translated("swarm.status", reading=True)
    def facts(self) -> Facts:
        """Look at the cluster, now. Raises: Missing without root."""
        require_root("Swarm", "it looks into hosts")
        return observe(self.plan.instance, self.nodes, {}, (), {})

    def status(self) -> tuple[ServiceState, ...]:
        """Give a row for each task that there is to be, now."""
        return self.rows(self.facts())

    @cached_property
    def _applying(self) -> Applying:
        return Applying(
            self.plan,
            self.underlay,
            self.nodes,
            self.exposure,
            self.source,
            self.repository,
            self.watch,
        )

    def exec(self, host: str, command: Sequence[str]) -> int:
        """Run a command on a host, on this terminal; Docker's client asks the engine there.

        Gives its exit code. Raises: Missing when the host is not up.
        """
        where = self._at(host)
        environment = {**os.environ, "DOCKER_HOST": where.place.url}
        words = [*in_host(where), *command]
        return subprocess.run(words, env=environment, check=False).returncode

    def lose(self, host: str) -> bool:
        """End an engine and all that runs in it, as a loss of power would; says whether any ran.

        `up` starts it again. Raises: Locked; Missing when the host is not up.
        """
        places = InstancePaths(self.plan.instance)
        with locked(places, "swarm"):
            try:
                return engines.stop(self._at(host))
            finally:
                remove_run(places, "swarm")

    def _at(self, host: str) -> Node:
        require_root("Swarm", "it has hosts of its own")
        known = ", ".join(one.name for one in self.nodes)
        found = next((one for one in self.nodes if one.name == host), None)
        if found is None:
            raise TwinstackError(host, "is no host", f"there are {known}", "choose one of them")
        if not hosts.is_ready(found, self.plan.instance):
            raise Missing(f"host {host}", "is not up", "", "run: invoke swarm.up")
        return found

    def rows(self, facts: Facts) -> tuple[ServiceState, ...]:
        """Give a row for each task that there is to be, as these facts tell."""
        return rows(self.plan, self.exposure, [one.name for one in self.nodes], facts.tasks)

    def _await(self, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Wait until every task runs and every node is ready. Raises: NotHealthy."""
        started = time.monotonic()
        healthy: set[str] = set()
        while True:
            facts = self.facts()
            found = self.rows(facts)
            waiting = {one.service for one in found if one.state != "healthy"}
            after = time.monotonic() - started
            for service in sorted({one.service for one in found} - waiting - healthy):
                progress(f"{service}: healthy after {after:.1f} s")
                healthy.add(service)
            lost = [one.name for one in facts.members if not one.ready]
            if not waiting and not lost:
                return found
            if after > timeout_s:
                if not waiting:
                    raise NotHealthy(
                        lost[0],
                        "is not ready",
                        f"not within {timeout_s:g} s",
                        "invoke swarm.status",
                    )
                raise self._unhealthy(found, facts.tasks, timeout_s)
            time.sleep(POLL_S)

    def _unhealthy(
        self, found: Sequence[ServiceState], tasks: Sequence[TaskFacts], timeout_s: float
    ) -> NotHealthy:
        """Name the first service that is in the way: a store before those that need it."""
        stores = {one.service for one in services(self.plan) if is_store(one)}
        row = min(
            (one for one in found if one.state != "healthy"),
            key=lambda one: (one.service not in stores, one.state == "absent"),
        )
        tails = (self._tail(one) for one in tasks if one.service == row.service)
        tail = next((text for text in tails if text), "")
        return NotHealthy(
            row.name,
            f"is {row.state}" + (f" ({row.detail})" if row.detail else ""),
            f"not within {timeout_s:g} s" + (f"; its log ends: {tail}" if tail else ""),
            "invoke swarm.status",
        )

    def _tail(self, task: TaskFacts) -> str:
        """Give the end of a task's log, as its own node tells; "" when nobody does."""
        where = next((one for one in self.nodes if one.name == task.node), None)
        if where is None or not task.container:
            return ""
        try:
            with client_of(where) as client:
                said = client.containers.get(task.container).logs(tail=_LOG_LINES)
        except (Missing, CannotTell, *RAW):
            return ""
        lines = said.decode(errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines if line.strip())


@translated("swarm.status", reading=True)
def shape_present(instance: str) -> str | None:
    """Tell the shape of the stack that a cluster has, as its services bear it; None for none."""
    manager = node(instance, Host("host-1", IPv4Address(0)), manager=True)
    try:
        with client_of(manager) as client:
            found = cluster.services(client, instance).values()
    except Missing:
        return None
    return next((one["Spec"]["Labels"].get(SHAPE_LABEL) for one in found), None)


def hosts_for(instance: str, spec: HostsSpec, count: int | None) -> tuple[Host, ...]:
    """Give the hosts of an instance's cluster: as many as asked for, or as there are.

    Raises: TwinstackError for a count that cannot be had, or real machines.
    """
    if spec.machines:
        raise TwinstackError(
            "hosts.machines",
            "are not for swarm.up",
            "it rehearses on simulated hosts only",
            "leave machines out of topology.yml",
        )
    if count is None:
        count = len(known_nodes(instance)) or DEFAULT_COUNT
    if not 2 <= count <= MOST:
        raise TwinstackError(
            "--hosts",
            f"cannot be {count}",
            f"2 to {MOST} hosts are simulated",
            "choose another number",
        )
    return hosts_of(spec, count)
