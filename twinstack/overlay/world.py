"""The stack on several simulated hosts: up, down, status, plan, and commands on a host.

`up` creates the underlay and the hosts, then brings each host's plan about inside it, by the steps
of one host's world. Only the options of the last `up` are kept: the rest is observed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from twinstack.errors import Missing
from twinstack.faults import drill_record
from twinstack.linux import br_netfilter, mounts
from twinstack.model.placement import Host
from twinstack.model.plan import Plan
from twinstack.namespaces.facts import NetFacts
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.namespaces.log_file import LogFile
from twinstack.namespaces.steps import network_steps
from twinstack.namespaces.world import NamespaceWorld
from twinstack.overlay import hosts, record, teardown
from twinstack.overlay.host_plans import (
    Spread,
    host_instance,
    host_plan,
    underlay_instance,
    underlay_plan,
)
from twinstack.overlay.record import OverlayOptions
from twinstack.reconcile import UNWATCHED, Preview, Progress, Watch, diff
from twinstack.state.lock import locked
from twinstack.state.paths import InstancePaths
from twinstack.world import ServiceState, require_root


@dataclass(frozen=True)
class Overlay:
    """One plan on several simulated hosts."""

    plan: Plan
    spread: Spread
    provide: Callable[[Plan, Progress], ProvidedSoftware]  # gives what a host's plan runs on
    find: Callable[[Plan], ProvidedSoftware | None]  # gives it if it is built
    bare: bool = False  # networks alone
    watch: Watch = UNWATCHED

    @property
    def _paths(self) -> InstancePaths:
        return InstancePaths(underlay_instance(self.plan.instance))

    @property
    def underlay(self) -> NamespaceWorld:
        """Give the underlay and its hosts as a world of their own."""
        plan = underlay_plan(self.plan, self.spread)
        return NamespaceWorld(plan, _no_software, bare=True, watch=self.watch)

    def on_host(self, host: Host) -> NamespaceWorld:
        """Give a host's world, to be used on that host alone."""
        plan = host_plan(self.plan, self.spread, host)
        return NamespaceWorld(
            plan,
            partial(self.provide, plan),
            lambda: self.find(plan),
            bare=self.bare,
            watch=hosts.HostWatch(self.watch, host.name),
        )

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring hosts, networks and services up, and wait until every service is healthy.

        What is as planned is not touched. Ctrl-C or a failure while nothing of ours was there
        before undoes what was half done. Raises: NotOurs, Locked, StepFailed, SeveralFailed.
        """
        require_root("overlay.up")
        instance = self.plan.instance
        with locked(self._paths, teardown.LOCK):
            drill_record.refuse(instance, "overlay", "overlay.up")
            fresh = record.read(instance) is None
            try:
                self._prepare(progress)
                # A lost host's port stays as it is: a repaired one would be found half up again.
                alive = {host.name for host in self.spread.alive}
                if not (self.spread.lost and alive <= set(hosts.present(instance))):
                    self.underlay.up(timeout_s=timeout_s, progress=progress)
                return self._hosts_up(timeout_s, progress)
            except BaseException:
                if fresh:
                    progress("undoing what was half done")
                    teardown.remove_all(instance, progress, UNWATCHED)
                raise

    def _prepare(self, progress: Progress) -> None:
        """Write the options; clear hosts that are declared no longer or have lost their network."""
        instance = self.plan.instance
        options = OverlayOptions.of(self.plan, self.spread, bare=self.bare)
        record.write(instance, options)
        declared = {host.name for host in self.spread.hosts}
        whole = hosts.present(instance)
        surplus = [name for name in hosts.known(instance) if name not in declared]
        pinned = mounts.pinned(self._paths.run)
        broken = [name for name in pinned if name not in whole and name not in surplus]
        if surplus or broken:
            teardown.clear(instance, (*surplus, *broken), progress, self.watch)

    def _hosts_up(self, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        if not self.bare:  # once for all hosts: what is built, and the passwords
            self.provide(replace(self.plan, instance=self._paths.instance), progress)
            for host in self.spread.alive:
                self._share_secrets(host)
        works = {}
        for host in self.spread.alive:
            shown = hosts.prefixed(progress, host.name)
            up = partial(self.on_host(host).up, timeout_s=timeout_s, progress=shown)
            works[host.name] = up
        # Services wait for each other across hosts, so with services all hosts start at once.
        at_once = os.cpu_count() if self.bare else None
        return self._states(hosts.on_each(self.plan.instance, works, at_once=at_once))

    def _share_secrets(self, host: Host) -> None:
        """Give a host the passwords that all hosts share."""
        shared = self._paths.lib / "secrets/.vault"
        own = InstancePaths(host_instance(self.plan.instance, host.name)).lib / "secrets/.vault"
        own.parent.mkdir(parents=True, exist_ok=True)
        own.mkdir(mode=0o700, exist_ok=True)  # before anything is in it
        shutil.copytree(shared, own, dirs_exist_ok=True)

    def _states(self, states: dict[str, tuple[ServiceState, ...]]) -> tuple[ServiceState, ...]:
        return hosts.merged_states(self.plan, self.spread, states, "its host is not up")

    def _present(self) -> list[Host]:
        present = hosts.present(self.plan.instance)
        return [host for host in self.spread.alive if host.name in present]

    def status(self) -> tuple[ServiceState, ...]:
        """Probe each replica on its own host."""
        works = {host.name: self.on_host(host).status for host in self._present()}
        return self._states(hosts.on_each(self.plan.instance, works))

    def preview(self) -> Preview:
        """List what `up` would do, everywhere. Raises: Missing, StepFailed."""
        return hosts.merged_preview(self.previews())

    def previews(self) -> dict[str, Preview]:
        """List what `up` would do, for the underlay and each host.

        A host that is not there yet is previewed as an empty one. Raises: Missing, StepFailed.
        """
        require_root("overlay.plan")
        works = {host.name: self.on_host(host).preview for host in self._present()}
        underlay = {"underlay": self.underlay.preview()}
        seen = hosts.on_each(self.plan.instance, works, at_once=os.cpu_count())
        return underlay | {
            host.name: seen.get(host.name) or self._preview_of_empty(host)
            for host in self.spread.alive
        }

    def _preview_of_empty(self, host: Host) -> Preview:
        steps = network_steps(self.on_host(host).plan)
        nothing = NetFacts(bridges_can_filter=br_netfilter.is_loaded())
        later = () if self.bare else ("services are listed once the host is up",)
        return Preview(len(steps), diff(steps, nothing), later)

    def log_names(self) -> tuple[str, ...]:
        """Name the plan's replicas, on hosts that are lost too."""
        return tuple(replica.name for replica in self.plan.replicas)

    def log_reader(self, replica: str) -> LogFile:
        """Give what reads a replica's log: this host sees the files of those that it simulates."""
        host = self.spread.where[replica]
        return LogFile(InstancePaths(host_instance(self.plan.instance, host)).log_of(replica))

    def exec(self, host: str, command: Sequence[str]) -> int:
        """Run a command on a host, on the caller's terminal; give its exit code."""
        self.spread.host(host)
        enter = hosts.pins_of(self.plan.instance, host).enter
        return subprocess.run([*enter, *command], check=False).returncode

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        """Take everything down: services, hosts, underlay, data. Raises: as the function."""
        return teardown.down(self.plan.instance, progress=progress, watch=self.watch)


def _no_software(_progress: Progress) -> ProvidedSoftware:
    raise Missing("underlay", "runs nothing", "its hosts do")
