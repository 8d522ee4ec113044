"""The stack on several simulated hosts: up, down, status, plan, and commands on a host.

`up` makes the underlay and the hosts, then brings each host's plan about inside it, by the very
steps of one host's world. Nothing is remembered but what was asked for: the rest is observed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from twinstack.errors import Missing
from twinstack.linux import br_netfilter, mounts
from twinstack.model.placement import Host
from twinstack.model.plan import Plan
from twinstack.model.vxlan import OVERLAY_MTU
from twinstack.namespaces import teardown
from twinstack.namespaces import world as namespaces
from twinstack.namespaces.facts import NetFacts
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.namespaces.steps import network_steps
from twinstack.namespaces.world import NamespaceWorld
from twinstack.overlay import hosts, record
from twinstack.overlay.host_plans import (
    Spread,
    host_instance,
    host_plan,
    underlay_instance,
    underlay_plan,
)
from twinstack.overlay.record import Record
from twinstack.reconcile import UNWATCHED, Preview, Progress, Watch, diff
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import ServiceState

_LOCK = "overlay"


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the overlay, the underlay or a host, differs in."""

    name: str
    preview: Preview


class Overlay:
    """One plan on several hosts.

    `provide` gives what a host's plan runs on; `find` gives it if it is built already. `bare`:
    networks alone. Units: mtu in bytes.
    """

    def __init__(
        self,
        plan: Plan,
        spread: Spread,
        provide: Callable[[Plan, Progress], ProvidedSoftware],
        find: Callable[[Plan], ProvidedSoftware | None],
        templates: Path,
        *,
        bare: bool = False,
        mtu: int = OVERLAY_MTU,
        watch: Watch = UNWATCHED,
    ) -> None:
        self.plan = plan
        self.spread = spread
        self.bare = bare
        self._mtu = mtu
        self._provide, self._find, self._templates = provide, find, templates
        self._watch = watch
        self._places = InstancePaths(underlay_instance(plan.instance))

    @property
    def underlay(self) -> NamespaceWorld:
        """Give the underlay and its hosts as a world of their own."""
        plan = underlay_plan(self.plan, self.spread)
        return NamespaceWorld(plan, _no_software, self._templates, bare=True, watch=self._watch)

    def on_host(self, host: Host) -> NamespaceWorld:
        """Give a host's world; only on that host does it see and do the right thing."""
        plan = host_plan(self.plan, self.spread, host, self._mtu)
        return NamespaceWorld(
            plan,
            partial(self._provide, plan),
            self._templates,
            lambda: self._find(plan),
            bare=self.bare,
            watch=hosts.Prefixed(self._watch, host.name),
        )

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring hosts, networks and services about, and wait until every service is healthy.

        What is as planned is not touched. Ctrl-C or a failure while nothing of ours was there
        before undoes what was half-done. Raises: NotOurs, Locked, StepFailed, SeveralFailed.
        """
        namespaces.require_root("overlay.up")
        instance = self.plan.instance
        with locked(self._places, _LOCK):
            fresh = record.read(instance) is None
            try:
                self._record()
                self._retire(progress)
                # A lost host's port is not to be put right: it would be found again half-way.
                alive = {host.name for host in self.spread.alive}
                if not (self.spread.lost and alive <= set(hosts.present(instance))):
                    self.underlay.up(timeout_s=timeout_s, progress=progress)
                return self._hosts_up(timeout_s, progress)
            except BaseException:
                if fresh:
                    progress("undoing what was half-done")
                    _down(instance, progress, UNWATCHED)
                raise

    def hosts_up(self, *, progress: Progress) -> None:
        """Bring about the underlay and the hosts alone. Raises: as `up`."""
        namespaces.require_root("overlay.up")
        with locked(self._places, _LOCK):
            self._record()
            self._retire(progress)
            self.underlay.up(timeout_s=0, progress=progress)

    def _record(self) -> None:
        plan = self.plan
        asked = Record(
            plan.shape,
            len(self.spread.hosts),
            tuple(sorted(self.spread.lost)),
            plan.policy,
            plan.limited,
            self.bare,
        )
        record.write(plan.instance, asked)

    def _retire(self, progress: Progress) -> None:
        """Empty hosts that are declared no longer, or have lost their network namespace."""
        wanted = {host.name for host in self.spread.hosts}
        instance = self.plan.instance
        whole = hosts.present(instance)
        pinned = mounts.pinned(self._places.run)
        gone = [name for name in hosts.known(instance) if name not in wanted]
        broken = [name for name in pinned if name not in whole and name not in gone]
        if gone or broken:
            hosts.clear(instance, (*gone, *broken), progress, self._watch)

    def _hosts_up(self, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        instance = self.plan.instance
        if not self.bare:  # once for all: they are built, and the same passwords, on every host
            self._provide(replace(self.plan, instance=self._places.instance), progress)
            for host in self.spread.alive:
                self._share_secrets(host)
        works = {
            host.name: partial(
                self.on_host(host).up,
                timeout_s=timeout_s,
                progress=hosts.prefixed(progress, host.name),
            )
            for host in self.spread.alive
        }
        # Services wait for each other across hosts: then all hosts go at once.
        found = hosts.on_each(instance, works, at_once=hosts.workers() if self.bare else None)
        return self._told(found)

    def _share_secrets(self, host: Host) -> None:
        """Give a host the passwords that every other has."""
        ours = self._places.lib / "secrets"
        theirs = InstancePaths(host_instance(self.plan.instance, host.name)).lib / "secrets"
        theirs.mkdir(parents=True, exist_ok=True)
        vault = theirs / ".vault"
        vault.mkdir(mode=0o700, exist_ok=True)
        for file in (ours / ".vault").iterdir():
            if not (vault / file.name).exists():
                shutil.copy2(file, vault / file.name)

    def _told(self, found: dict[str, tuple[ServiceState, ...]]) -> tuple[ServiceState, ...]:
        return hosts.located(self.plan, self.spread, found, "its host is not up")

    def status(self) -> tuple[ServiceState, ...]:
        """Ask each replica, on its own host, how it does."""
        there = hosts.present(self.plan.instance)
        works = {
            host.name: self.on_host(host).status for host in self.spread.alive if host.name in there
        }
        return self._told(hosts.on_each(self.plan.instance, works))

    def preview(self) -> tuple[Part, ...]:
        """Tell what `up` would do: of the underlay, and of each host.

        A host that is not there yet is told as an empty one would be. Raises: Missing, StepFailed.
        """
        namespaces.require_root("overlay.plan")
        found = [_part("underlay", self.underlay)]
        there = hosts.present(self.plan.instance)
        works = {
            host.name: partial(_part, host.name, self.on_host(host))
            for host in self.spread.alive
            if host.name in there
        }
        seen = hosts.on_each(self.plan.instance, works, at_once=hosts.workers())
        for host in self.spread.alive:
            found.append(seen[host.name] if host.name in seen else self._of_a_fresh_host(host))
        return tuple(found)

    def _of_a_fresh_host(self, host: Host) -> Part:
        steps = network_steps(self.on_host(host).plan)
        nothing = NetFacts(bridges_can_filter=br_netfilter.is_there())
        later = () if self.bare else ("services are told once the host is up",)
        return Part(host.name, Preview(len(steps), diff(steps, nothing), later))

    def logs(self, replica: str, *, lines: int) -> str:
        """Give the end of a replica's log. Raises: TwinstackError for a name that is none."""
        name = self.plan.replica(replica).name
        host = self.spread.host(self.spread.where[name])
        read = partial(self.on_host(host).logs, name, lines=lines)
        return hosts.on(self.plan.instance, host.name, read)

    def exec(self, host: str, command: Sequence[str]) -> int:
        """Run a command on a host, on this terminal; give its exit code."""
        self.spread.host(host)
        return hosts.run(self.plan.instance, host, command)


def _part(name: str, world: NamespaceWorld) -> Part:
    return Part(name, world.preview())


def _no_software(_progress: Progress) -> ProvidedSoftware:
    raise Missing("underlay", "runs nothing", "its hosts do")


def down(instance: str, *, progress: Progress, watch: Watch = UNWATCHED) -> tuple[str, ...]:
    """Take an instance's overlay down, whatever it was: services, hosts, underlay, data.

    From the marks alone, after a crash at any step. Raises: Locked; SeveralFailed after
    everything else was removed.
    """
    namespaces.require_root("overlay.down")
    with locked(InstancePaths(underlay_instance(instance)), _LOCK):
        return _down(instance, progress, watch)


def _down(instance: str, progress: Progress, watch: Watch) -> tuple[str, ...]:
    outer = underlay_instance(instance)
    removed = hosts.clear(instance, hosts.known(instance), progress, watch)
    removed = (*removed, *namespaces.down(outer, progress=progress, data=True, watch=watch))
    teardown.forget(outer)
    remove_run(InstancePaths(outer), _LOCK)
    return removed
