"""What a drill can be put into: a world on this host, or an overlay on simulated hosts as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from twinstack.drill.overlay_site import OverlaySite
from twinstack.drill.site import Site
from twinstack.errors import Missing
from twinstack.faults.drill_record import DrilledWorld
from twinstack.model.plan import HOST, Plan
from twinstack.namespaces.world import NamespaceWorld
from twinstack.overlay import hosts
from twinstack.overlay.host_plans import underlay_instance
from twinstack.overlay.teardown import LOCK
from twinstack.overlay.world import Overlay
from twinstack.reconcile import Preview, Progress
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths
from twinstack.world import Link, LocalWorld, Process, ServiceState

_Seen = TypeVar("_Seen")


@dataclass(frozen=True, slots=True)
class SpreadWorld:
    """An overlay on simulated hosts as one world: its replicas are on hosts of their own."""

    overlay: Overlay
    name: DrilledWorld = "overlay"
    host_namespace: Path | None = None

    @property
    def plan(self) -> Plan:
        return self.overlay.plan

    def preview(self) -> Preview:
        return self.overlay.preview()

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        return self.overlay.up(timeout_s=timeout_s, progress=progress)

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        return self.overlay.down(progress=progress)

    def status(self) -> tuple[ServiceState, ...]:
        return self.overlay.status()

    def processes(self) -> tuple[Process, ...]:
        """List the processes of all hosts: one kernel numbers them."""
        seen = self._on_each(lambda world: world.processes)
        return tuple(process for processes in seen.values() for process in processes)

    def main_pids(self) -> dict[str, int]:
        """Give the main process of each replica on each host that is there."""
        seen = self._on_each(lambda world: world.main_pids)
        return {replica: pid for pids in seen.values() for replica, pid in pids.items()}

    def links(self) -> tuple[Link, ...]:
        """List what joins the hosts, on this one."""
        return self.overlay.underlay.links()

    def absence(self) -> Missing:
        return Missing("overlay", "is not up", remedy='run "invoke overlay.up"')

    def entrances(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Give the words that enter each host and each replica. Raises: Missing."""
        for name, world in self._present().items():
            enter = hosts.pins_of(self.plan.instance, name).enter
            yield name, enter
            for replica in world.plan.here:
                yield replica.name, (*enter, "nsenter", f"--net=/run/netns/{replica.name}", "--")

    def _present(self) -> dict[str, NamespaceWorld]:
        present = hosts.present(self.plan.instance)
        alive = (host for host in self.overlay.spread.alive if host.name in present)
        return {host.name: self.overlay.on_host(host) for host in alive}

    def _on_each(self, work: Callable[[NamespaceWorld], Callable[[], _Seen]]) -> dict[str, _Seen]:
        works = {name: work(world) for name, world in self._present().items()}
        return hosts.on_each(self.plan.instance, works)


#: What a drill can be put into.
AnyWorld = LocalWorld | SpreadWorld


def site_of(world: AnyWorld, target: str) -> Site | OverlaySite:
    """Give a running world as a drill's commands name it."""
    if isinstance(world, SpreadWorld):
        return OverlaySite(world.overlay)
    return Site(world, target)


def host_plan(world: AnyWorld) -> Plan:
    """Give the plan of what is on this host itself."""
    return world.overlay.underlay.plan if isinstance(world, SpreadWorld) else world.plan


def changing(world: AnyWorld) -> AbstractContextManager[None]:
    """Keep every other command from changing a world. Raises: Locked, Missing."""
    instance = world.plan.instance
    if isinstance(world, SpreadWorld):
        return locked(InstancePaths(underlay_instance(instance)), LOCK)
    return locked(InstancePaths(instance), world.name)


def entrances(world: AnyWorld) -> dict[str, tuple[str, ...]]:
    """Map the host and each present replica to the words that enter its network from here."""
    if isinstance(world, SpreadWorld):
        return {HOST: (), **dict(world.entrances())}
    namespaces = {HOST: world.host_namespace}
    with suppress(Missing):
        namespaces |= world.namespaces()
    return {name: ("nsenter", f"--net={path}") if path else () for name, path in namespaces.items()}
