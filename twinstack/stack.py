"""One instance of the stack as the tasks use it: its plan, its worlds, and cleaning up.

`from_environment` reads TWINSTACK_INSTANCE and TWINSTACK_TOPOLOGY; everything below takes
values. A world made without a shape has the shape of the running one, or flat.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from twinstack.errors import Missing
from twinstack.reconcile import UNWATCHED, Progress, Teardown, Watch

if TYPE_CHECKING:  # at run time a task loads only the world that it asks for
    from twinstack.compose.world import DockerWorld
    from twinstack.model.outline import Outline
    from twinstack.model.plan import Plan
    from twinstack.model.releases import Releases
    from twinstack.model.scale import Scale
    from twinstack.model.topology import Topology, WorldName
    from twinstack.namespaces.logs import NamespaceLogs
    from twinstack.namespaces.world import NamespaceWorld
    from twinstack.observe.prometheus.run import InstanceMetrics
    from twinstack.overlay.record import OverlayOptions
    from twinstack.overlay.remote import Remote
    from twinstack.overlay.ssh import Machine
    from twinstack.overlay.world import Overlay
    from twinstack.software.roots import Roots
    from twinstack.software.wheels import Software
    from twinstack.state.journal import Journal
    from twinstack.swarm.world import SwarmWorld

REPOSITORY = Path(__file__).parents[1]
DEFAULT_SHAPE = "flat"
_OptionsT = TypeVar("_OptionsT", "Journal", "OverlayOptions")


@dataclass(frozen=True, slots=True)
class Stack:
    """One instance of what a topology file declares."""

    instance: str
    topology_file: Path
    repository: Path = REPOSITORY

    def topology(self) -> Topology:
        """Read what is declared. Raises: TopologyError."""
        from twinstack.model.topology_file import load

        return load(self.topology_file)

    def plan(
        self,
        shape: str | None = None,
        *,
        limited: bool = True,
        policy: bool = True,
        rate_limit: bool = True,
        scale: Scale = (),
        releases: Releases = (),
    ) -> Plan:
        """Resolve the plan of a shape. Raises: TopologyError, TwinstackError."""
        from twinstack.model.plan import resolve

        return resolve(
            self.topology(),
            shape or DEFAULT_SHAPE,
            self.instance,
            limited=limited,
            policy=policy,
            rate_limit=rate_limit,
            scale=scale,
            released=releases,
        )

    def _plan_as(self, options: Journal | OverlayOptions, **more: Any) -> Plan:
        return self.plan(options.shape, limited=options.limited, policy=options.policy, **more)

    def net(
        self,
        shape: str | None = None,
        *,
        limited: bool | None = None,
        bare: bool | None = None,
        policy: bool | None = None,
        rate_limit: bool = True,
        scale: Scale | None = None,
        releases: Releases | None = None,
        watch: Watch = UNWATCHED,
    ) -> NamespaceWorld:
        """Give the namespace world; unset options keep the running world's values."""
        from twinstack.namespaces.provision import find, provide
        from twinstack.namespaces.world import NamespaceWorld
        from twinstack.state.journal import read_journal
        from twinstack.state.paths import InstancePaths

        asked = {"shape": shape, "limited": limited, "bare": bare, "policy": policy}
        chosen = _changed(
            read_journal(InstancePaths(self.instance)),
            {**asked, "scale": scale, "releases": releases},
        )
        plan = self._plan_as(
            chosen, rate_limit=rate_limit, scale=chosen.scale, releases=chosen.releases
        )
        return NamespaceWorld(
            plan,
            lambda progress: provide(plan, self.repository, progress),
            lambda: find(plan, self.repository),
            bare=chosen.bare,
            watch=watch,
        )

    def plan_of(self, world: WorldName, shape: str | None = None, *, policy: bool) -> Plan:
        """Give the plan of a world, of the running one unless options say otherwise.

        Without loading that world, which takes longer, unless an engine must be asked.
        """
        from twinstack.compose.engine_paths import is_absent
        from twinstack.state.paths import InstancePaths

        if world == "net" and InstancePaths(self.instance).journal.exists():
            from twinstack.state.journal import read_journal

            running = read_journal(InstancePaths(self.instance))
            chosen = _changed(running, {"shape": shape, "policy": policy})
            return self._plan_as(chosen, scale=chosen.scale, releases=chosen.releases)
        if world == "docker" and not is_absent():
            return self.docker(shape, policy=policy).plan
        return self.plan(shape, policy=policy)

    def net_logs(self) -> NamespaceLogs:
        """Give the namespace world's logs, without loading that world or its plan.

        Raises: TopologyError; as `net_outline`.
        """
        from twinstack.namespaces.logs import NamespaceLogs

        return NamespaceLogs(self.net_outline())

    def net_outline(self) -> Outline:
        """Give the names of the namespace world's plan, of the running one if it is up.

        Raises: TopologyError; CannotTell when its record cannot be understood.
        """
        from twinstack.model.outline import Outline, OutlinedReplica, outline
        from twinstack.state.paths import InstancePaths

        scale: Scale = ()
        if InstancePaths(self.instance).journal.exists():  # to read it takes the form
            from twinstack.state.journal import read_journal

            scale = read_journal(InstancePaths(self.instance)).scale
        found = outline(self.topology_file, self.instance, dict(scale))
        if found is not None:
            return found
        plan = self.plan(scale=scale)  # it says what is wrong with the file
        replicas = (OutlinedReplica(each.name, each.service) for each in plan.replicas)
        return Outline(self.instance, tuple(replicas), {})

    def overlay(
        self,
        count: int | None = None,
        shape: str | None = None,
        *,
        lost: frozenset[str] | None = None,
        limited: bool | None = None,
        bare: bool | None = None,
        policy: bool | None = None,
        watch: Watch = UNWATCHED,
    ) -> Overlay:
        """Give the stack on several hosts; unset options keep the running overlay's values.

        Raises: TopologyError; TwinstackError for hosts that cannot be had.
        """
        from twinstack.namespaces.provision import find, provide
        from twinstack.overlay import record
        from twinstack.overlay.host_plans import spread_over_hosts
        from twinstack.overlay.world import Overlay

        chosen = _changed(
            record.read(self.instance) or record.OverlayOptions(),
            {"shape": shape, "limited": limited, "bare": bare, "policy": policy, "hosts": count},
        )
        gone = frozenset(chosen.lost) if lost is None else lost
        plan = self._plan_as(chosen)
        return Overlay(
            plan,
            spread_over_hosts(plan, self.topology().hosts, chosen.hosts, gone),
            lambda host_plan, progress: provide(host_plan, self.repository, progress),
            lambda host_plan: find(host_plan, self.repository),
            bare=chosen.bare,
            watch=watch,
        )

    def machines(self, options: Sequence[str] = ()) -> tuple[Machine, ...]:
        """Give the machines that the topology names, as ssh reaches them.

        Raises: TopologyError; Missing when it names none.
        """
        from twinstack.model.placement import hosts_of
        from twinstack.overlay.ssh import machine

        spec = self.topology().hosts
        if not spec.machines:
            remedy = "name them with their addresses in topology.yml"
            raise Missing("hosts.machines", "is empty", "the topology names no machines", remedy)
        return tuple(machine(host, options) for host in hosts_of(spec))

    def remote(
        self,
        options: Sequence[str] = (),
        shape: str | None = None,
        *,
        lost: frozenset[str] | None = None,
        limited: bool | None = None,
        bare: bool | None = None,
        policy: bool | None = None,
    ) -> Remote:
        """Give the stack on the machines that ssh reaches; unset options as in `overlay`.

        Raises: TopologyError; Missing; TwinstackError for machines that cannot be had.
        """
        from twinstack.namespaces.provision import find_built
        from twinstack.overlay import record
        from twinstack.overlay.host_plans import spread_over_hosts
        from twinstack.overlay.remote import Remote

        machines = self.machines(options)
        chosen = _changed(
            record.read(self.instance, ssh=True) or record.OverlayOptions(),
            {"shape": shape, "limited": limited, "bare": bare, "policy": policy},
        )
        plan = self._plan_as(chosen)
        gone = frozenset(chosen.lost) if lost is None else lost
        return Remote(
            plan,
            spread_over_hosts(plan, self.topology().hosts, None, gone),
            self.topology_file.read_text(encoding="utf-8"),
            machines,
            self.software,
            lambda: find_built(self.plan(), self.repository),
            bare=chosen.bare,
        )

    def docker(
        self,
        shape: str | None = None,
        *,
        limited: bool = True,
        policy: bool | None = None,
        rate_limit: bool = True,
        scale: Scale | None = None,
        releases: Releases | None = None,
    ) -> DockerWorld:
        """Give the Docker world; an unset shape, policy, scale or release is the running world's.

        Raises: CannotTell when its record cannot be understood.
        """
        from twinstack.compose.observe import is_enforced, recorded
        from twinstack.compose.world import DockerWorld

        if policy is None:
            policy = self.docker_shape() is None or is_enforced(self.instance)
        running = recorded(self.instance)
        plan = self.plan(
            shape or self.docker_shape(),
            limited=limited,
            policy=policy,
            rate_limit=rate_limit,
            scale=running.scale if scale is None else scale,
            releases=running.releases if releases is None else releases,
        )
        return DockerWorld(plan, repository=self.repository)

    def swarm(
        self, shape: str | None = None, count: int | None = None, *, limited: bool = True
    ) -> SwarmWorld:
        """Give the Swarm; an unset shape or number of hosts is the running Swarm's."""
        from twinstack.swarm.world import DEFAULT_SHAPE as SWARM_SHAPE
        from twinstack.swarm.world import SwarmWorld, hosts_for, shape_present

        chosen = shape or shape_present(self.instance) or SWARM_SHAPE
        plan, spec = self.plan(chosen, limited=limited), self.topology().hosts
        hosts = hosts_for(self.instance, spec, count)
        return SwarmWorld(plan, hosts, spec.underlay, repository=self.repository)

    def metrics(self) -> InstanceMetrics:
        """Give the Prometheus beside this instance's worlds."""
        from twinstack.observe.prometheus.run import InstanceMetrics

        dashboard = (sys.executable, "-m", "invoke", "dashboard")
        return InstanceMetrics(self.instance, self.repository, dashboard, self.topology_file)

    def net_shape(self) -> str | None:
        """Give the shape of the namespace world that is up, or None."""
        from twinstack.state.paths import InstancePaths

        if not InstancePaths(self.instance).journal.exists():
            return None
        from twinstack.state.journal import read_journal

        return read_journal(InstancePaths(self.instance)).shape

    def docker_shape(self) -> str | None:
        """Give the shape of the Docker world that is up, or None."""
        from twinstack.compose.shape import shape_present

        return shape_present(self.instance, self.topology)

    def software(self, progress: Progress) -> tuple[Roots, Software]:
        """Give what the services run on, built if absent. Raises: as `ensure_built`."""
        from twinstack.namespaces.provision import ensure_built

        return ensure_built(self.plan(), self.repository, progress)

    def removable(self, *, keep_stores: bool) -> tuple[str, ...]:
        """Name what `clean` would remove; changes nothing."""
        from twinstack.compose.teardown import removable as of_docker
        from twinstack.course.session import Course
        from twinstack.faults.drill_record import kept as attempts
        from twinstack.namespaces.teardown import removable as of_net
        from twinstack.overlay.teardown import part_instances
        from twinstack.overlay.teardown import removable as of_overlay
        from twinstack.software.teardown import removable as shared
        from twinstack.swarm.teardown import removable as of_swarm

        own = {self.instance, *part_instances(self.instance)}
        return (
            *self.metrics().removable(),
            *Course(self).removable(),
            *of_overlay(self.instance),
            *of_swarm(self.instance),
            *of_net(self.instance, keep_stores=keep_stores),
            *of_docker(self.instance, keep_stores=keep_stores),
            *(() if keep_stores else attempts(self.instance)),
            *(f"software {path}" for path in shared(self.repository, own)),
        )

    def clean(self, progress: Progress, *, keep_stores: bool = False) -> tuple[str, ...]:
        """Remove all worlds, their data and images, and what was built for them; name it all.

        `keep_stores`: but for the replicas' data in the namespace and Docker worlds.
        Needs no topology. Software that other instances use stays.
        Raises: Locked; SeveralFailed after everything else was removed.
        """
        from twinstack.compose.teardown import clean as clean_docker
        from twinstack.course.session import Course
        from twinstack.faults import drill_record
        from twinstack.namespaces import world as namespaces
        from twinstack.overlay import record
        from twinstack.overlay.teardown import down as down_overlay
        from twinstack.software.teardown import remove_software
        from twinstack.swarm.teardown import down as down_swarm

        if record.read(self.instance, ssh=True) is not None:
            progress(
                "machines keep the stack, and this one their passwords, until "
                '"invoke overlay.down --ssh"'
            )
        teardown = Teardown()
        teardown.tidy("clean", self.metrics().down)
        teardown.tidy("clean", Course(self).forget)
        for down in (down_overlay, down_swarm):
            teardown.tidy("clean", partial(down, self.instance, progress=progress))
        for clean in (namespaces.clean, clean_docker):
            act = partial(clean, self.instance, progress=progress, keep_stores=keep_stores)
            teardown.tidy("clean", act)
        if not keep_stores:
            teardown.tidy("clean", partial(drill_record.forget_attempts, self.instance))
        if not teardown.failures:
            teardown.tidy("software", partial(remove_software, self.repository, {self.instance}))
        return teardown.finish("clean")


def _changed(running: _OptionsT, asked: dict[str, Any]) -> _OptionsT:
    """Give a running world's options with those that were asked for; None keeps a value."""
    return replace(running, **{name: value for name, value in asked.items() if value is not None})


def from_environment() -> Stack:
    """Read which instance and which topology are meant. Raises: TwinstackError."""
    from twinstack.model.names import check_instance

    instance = check_instance(os.environ.get("TWINSTACK_INSTANCE") or "main")
    file = os.environ.get("TWINSTACK_TOPOLOGY")
    return Stack(instance, Path(file) if file else REPOSITORY / "topology.yml")
