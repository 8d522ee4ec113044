"""One instance of the stack as the tasks use it: its plan, its worlds, and cleaning up.

`from_environment` reads TWINSTACK_INSTANCE and TWINSTACK_TOPOLOGY; everything below takes
values. A world made without a shape is of the shape that runs now, or flat.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from twinstack.errors import Missing, SeveralFailed
from twinstack.reconcile import UNWATCHED, Progress, Watch

if TYPE_CHECKING:  # at run time a task loads only the world that it asks for
    from twinstack.compose.world import DockerWorld
    from twinstack.model.plan import Plan
    from twinstack.model.topology import Topology
    from twinstack.namespaces.world import NamespaceWorld
    from twinstack.overlay.record import OverlayOptions
    from twinstack.overlay.remote import Remote
    from twinstack.overlay.ssh import Machine
    from twinstack.overlay.world import Overlay
    from twinstack.software.roots import Roots
    from twinstack.software.wheels import Software
    from twinstack.swarm.world import SwarmWorld

REPOSITORY = Path(__file__).parents[1]
DEFAULT_SHAPE = "flat"


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
        )

    def net(
        self,
        shape: str | None = None,
        *,
        limited: bool | None = None,
        bare: bool | None = None,
        policy: bool | None = None,
        rate_limit: bool = True,
        watch: Watch = UNWATCHED,
    ) -> NamespaceWorld:
        """Give the namespace world; what is not said is as it runs now."""
        from twinstack.namespaces.provision import find, provide
        from twinstack.namespaces.world import NamespaceWorld
        from twinstack.state.journal import read_journal
        from twinstack.state.paths import InstancePaths

        journal = read_journal(InstancePaths(self.instance))
        plan = self.plan(
            shape or journal.shape,
            limited=journal.limited if limited is None else limited,
            policy=journal.policy if policy is None else policy,
            rate_limit=rate_limit,
        )
        return NamespaceWorld(
            plan,
            lambda progress: provide(plan, self.repository, progress),
            self.repository / "templates",
            lambda: find(plan, self.repository),
            bare=journal.bare if bare is None else bare,
            watch=watch,
        )

    def overlay(
        self,
        count: int | None = None,
        shape: str | None = None,
        *,
        lost: frozenset[str] | None = None,
        limited: bool | None = None,
        bare: bool | None = None,
        policy: bool | None = None,
        mtu: int | None = None,
        watch: Watch = UNWATCHED,
    ) -> Overlay:
        """Give the stack on several hosts; what is not said is as it runs now.

        Raises: TopologyError; TwinstackError for hosts that cannot be had.
        """
        from twinstack.model.vxlan import OVERLAY_MTU
        from twinstack.namespaces.provision import find, provide
        from twinstack.overlay import record
        from twinstack.overlay.host_plans import spread_over_hosts
        from twinstack.overlay.world import Overlay

        topology, was = self.topology(), record.read(self.instance)
        plan, gone = self._asked(was, shape, lost, limited, policy)
        hosts = _either(count, was.hosts if was else None)
        return Overlay(
            plan,
            spread_over_hosts(plan, topology.hosts, hosts, gone),
            lambda whose, progress: provide(whose, self.repository, progress),
            lambda whose: find(whose, self.repository),
            self.repository / "templates",
            bare=(was.bare if was else False) if bare is None else bare,
            mtu=mtu or OVERLAY_MTU,
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
            raise Missing(
                "hosts.machines",
                "is empty",
                "nobody said which machines there are",
                "name them with their addresses in topology.yml",
            )
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
        """Give the stack on the machines that ssh reaches; what is not said is as it runs now.

        Raises: TopologyError; Missing; TwinstackError for machines that cannot be had.
        """
        from twinstack.overlay import record
        from twinstack.overlay.host_plans import spread_over_hosts
        from twinstack.overlay.remote import Remote

        machines, was = self.machines(options), record.read(self.instance, ssh=True)
        plan, gone = self._asked(was, shape, lost, limited, policy)
        return Remote(
            plan,
            spread_over_hosts(plan, self.topology().hosts, None, gone),
            self.topology_file.read_text(encoding="utf-8"),
            machines,
            self.software,
            self._found_software,
            bare=(was.bare if was else False) if bare is None else bare,
        )

    def _asked(
        self,
        was: OverlayOptions | None,
        shape: str | None,
        lost: frozenset[str] | None,
        limited: bool | None,
        policy: bool | None,
    ) -> tuple[Plan, frozenset[str]]:
        """Resolve the plan of several hosts, and who is lost; unsaid, as it was last asked."""
        plan = self.plan(
            shape or (was.shape if was else None),
            limited=(was.limited if was else True) if limited is None else limited,
            policy=(was.policy if was else True) if policy is None else policy,
        )
        return plan, frozenset(was.lost if was else ()) if lost is None else lost

    def _found_software(self) -> tuple[Roots, Software] | None:
        from twinstack.namespaces.provision import accounts
        from twinstack.software.roots import find_roots, recipe_for
        from twinstack.software.wheels import find_software

        roots = find_roots(recipe_for(accounts(self.plan())))
        software = find_software(self.repository)
        return None if roots is None or software is None else (roots, software)

    def docker(
        self,
        shape: str | None = None,
        *,
        limited: bool = True,
        policy: bool | None = None,
        rate_limit: bool = True,
    ) -> DockerWorld:
        """Give the Docker world; shape and policy, if not said, are those that run now."""
        from twinstack.compose.observe import is_enforced
        from twinstack.compose.world import DockerWorld

        if policy is None:
            policy = self.docker_shape() is None or is_enforced(self.instance)
        plan = self.plan(
            shape or self.docker_shape(), limited=limited, policy=policy, rate_limit=rate_limit
        )
        return DockerWorld(plan, repository=self.repository)

    def swarm(
        self, shape: str | None = None, count: int | None = None, *, limited: bool = True
    ) -> SwarmWorld:
        """Give the Swarm; its shape and number of hosts, if not said, are those that run now."""
        from twinstack.swarm.world import DEFAULT_SHAPE as SWARM_SHAPE
        from twinstack.swarm.world import SwarmWorld, hosts_for, shape_present

        chosen = shape or shape_present(self.instance) or SWARM_SHAPE
        plan, spec = self.plan(chosen, limited=limited), self.topology().hosts
        hosts = hosts_for(self.instance, spec, count)
        return SwarmWorld(plan, hosts, spec.underlay, repository=self.repository)

    def net_shape(self) -> str | None:
        """Tell the shape of the namespace world that is up, or None."""
        from twinstack.state.journal import read_journal
        from twinstack.state.paths import InstancePaths

        return read_journal(InstancePaths(self.instance)).shape

    def docker_shape(self) -> str | None:
        """Tell the shape of the Docker world by the networks that are there, or None."""
        from twinstack.compose.engine import connect
        from twinstack.compose.render import INSTANCE_LABEL
        from twinstack.model.plan import resolve

        client = connect()
        if client is None:
            return None
        label = f"{INSTANCE_LABEL}={self.instance}"
        there = {network.name for network in client.networks.list(filters={"label": label})}
        topology = self.topology()
        for shape in topology.shapes:
            segments = resolve(topology, shape, self.instance).segments
            if {segment.docker_network for segment in segments} <= there:
                return shape
        return None

    def software(self, progress: Progress) -> tuple[Roots, Software]:
        """Give what the services run on, built when it is not there. Raises: as `provide`."""
        from twinstack.namespaces.provision import accounts
        from twinstack.software.roots import ensure_roots, recipe_for
        from twinstack.software.wheels import ensure_software

        roots = ensure_roots(recipe_for(accounts(self.plan())), progress)
        return roots, ensure_software(self.repository, roots, progress)

    def redis_password(self) -> str:
        """Give the namespace world's Redis password. Raises: OSError when it was never up."""
        from twinstack.software.secrets import secret_path

        return secret_path(self._secrets, "product-service", "redis_password").read_text().strip()

    @property
    def _secrets(self) -> Path:
        from twinstack.state.paths import InstancePaths

        return InstancePaths(self.instance).lib / "secrets"

    def clean(self, progress: Progress) -> tuple[str, ...]:
        """Remove all worlds, their data and images, and what was built for them; name it all.

        Needs no topology. Software that other instances use stays.
        Raises: Locked; SeveralFailed after everything else was removed.
        """
        from twinstack.compose.teardown import clean as clean_docker
        from twinstack.namespaces import world as namespaces
        from twinstack.overlay import record
        from twinstack.overlay import world as overlays
        from twinstack.software.clean import remove_software
        from twinstack.swarm.teardown import down as down_swarm

        if record.read(self.instance, ssh=True) is not None:
            progress(
                "machines keep the stack, and this one their passwords, until "
                '"invoke overlay.down --ssh"'
            )
        removed: list[str] = []
        failures: list[Exception] = []
        for clean in (overlays.down, down_swarm, namespaces.clean, clean_docker):
            try:
                removed += clean(self.instance, progress=progress)
            except Exception as error:  # the others are to be cleaned all the same
                failures.append(error)
        if not failures:
            removed += remove_software(self.repository)
        if failures:
            raise failures[0] if len(failures) == 1 else SeveralFailed("clean", failures)
        return tuple(removed)


def _either(said: int | None, was: int | None) -> int | None:
    return was if said is None else said


def from_environment() -> Stack:
    """Read which instance and which topology are meant. Raises: TwinstackError."""
    from twinstack.model.names import check_instance

    instance = check_instance(os.environ.get("TWINSTACK_INSTANCE") or "main")
    file = os.environ.get("TWINSTACK_TOPOLOGY")
    return Stack(instance, Path(file) if file else REPOSITORY / "topology.yml")
