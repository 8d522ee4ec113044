"""Simulated hosts: where each is pinned, working inside one, and taking down what runs there.

A host is a network namespace and a mount namespace, both pinned: `nsenter --net=… --mount=…`
enters it as `ssh` would a machine. What is done inside is done in a child.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from twinstack.errors import Missing, SeveralFailed
from twinstack.linux import child as entering
from twinstack.linux import mounts, netns
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.namespaces import cgroups, dumps, supervisor, teardown
from twinstack.namespaces import world as namespaces
from twinstack.overlay.host_plans import Spread, host_instance, underlay_instance
from twinstack.reconcile import Progress, Watch
from twinstack.state.journal import read_journal
from twinstack.state.paths import InstancePaths
from twinstack.world import ServiceState

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pins:
    """The two files by which a host is entered."""

    network: Path
    mounts: Path

    @property
    def command(self) -> tuple[str, ...]:
        """Give the words that run a command on the host."""
        return ("nsenter", f"--net={self.network}", f"--mount={self.mounts}", "--")


def pins_of(instance: str, host: str) -> Pins:
    """Tell where a host of an instance is pinned. Raises: Missing when it is not up."""
    run = InstancePaths(underlay_instance(instance)).run
    pins = Pins(netns.PINS / host, run / mounts.DIRECTORY / host)
    if not netns.is_pinned(host) or host not in mounts.pinned(run):
        raise Missing(
            f"host {host}", "cannot be entered", "it is not up", 'run "invoke overlay.up"'
        )
    return pins


def present(instance: str) -> tuple[str, ...]:
    """List the hosts that are whole: network and mounts pinned, by our mark."""
    outer = underlay_instance(instance)
    pinned = set(mounts.pinned(InstancePaths(outer).run))
    marked = dumps.marked_namespaces(names.mark(outer))
    return tuple(name for name in marked if name in pinned)


def known(instance: str) -> tuple[str, ...]:
    """List every host of which anything may be left, whole or not."""
    outer = InstancePaths(underlay_instance(instance))
    marked = dumps.marked_namespaces(names.mark(outer.instance))
    intended = read_journal(outer).intended
    found = {*mounts.pinned(outer.run), *marked, *intended}
    return tuple(sorted(one for one in found if names.host_link(one) in intended or one in marked))


@dataclass(frozen=True, slots=True)
class Prefixed:
    """Tells a watch of a host's steps by the host's name and theirs."""

    watch: Watch
    host: str

    def before(self, step: str) -> None:
        self.watch.before(f"{self.host}: {step}")

    def during(self, step: str) -> None:
        self.watch.during(f"{self.host}: {step}")

    def after(self, step: str) -> None:
        self.watch.after(f"{self.host}: {step}")


def prefixed(progress: Progress, host: str) -> Progress:
    """Show a host's progress by its name."""
    return lambda line: progress(f"{host}: {line}")


def on(instance: str, host: str, work: Callable[[], Result]) -> Result:
    """Do something on a host and give what came of it. Raises: Missing; what the work raises."""
    pins = pins_of(instance, host)
    return entering.inside(f"host {host}", pins.network, work, pins.mounts)


def on_each(
    instance: str, works: Mapping[str, Callable[[], Result]], *, at_once: int | None = None
) -> dict[str, Result]:
    """Do something on several hosts at once, `at_once` of them; go on past errors.

    Raises: the one error there was, or SeveralFailed.
    """
    waiting = list(works.items())
    found: dict[str, Result] = {}
    failures: list[Exception] = []
    running: dict[str, entering.Child] = {}
    most = at_once or len(waiting)
    try:
        while waiting or running:
            while waiting and len(running) < most:
                host, work = waiting.pop(0)
                pins = pins_of(instance, host)
                running[host] = entering.start(
                    f"host {host}", pins.network, work, mounts=pins.mounts
                )
            host = next(iter(running))
            try:
                found[host] = running[host].answer()
            except Exception as error:
                failures.append(error)
            running.pop(host).end()
    finally:
        for child in running.values():
            child.end()
    if failures:
        raise failures[0] if len(failures) == 1 else SeveralFailed("hosts", failures)
    return found


def run(instance: str, host: str, command: Sequence[str]) -> int:
    """Run a command on a host, on this terminal; give its exit code. Raises: Missing."""
    return subprocess.run([*pins_of(instance, host).command, *command], check=False).returncode


def workers() -> int:
    """Tell how many hosts are worked on at once where none waits for another."""
    return os.cpu_count() or 1


def clear(instance: str, hosts: Iterable[str], progress: Progress, watch: Watch) -> tuple[str, ...]:
    """End what runs on hosts and remove their data; the hosts themselves stay.

    A host that runs nothing is left to go as a whole. Raises: SeveralFailed after all else.
    """
    hosts = tuple(hosts)
    whole = [host for host in hosts if host in present(instance)]
    works = {host: partial(_end, instance, host, progress, watch) for host in whole}
    removed: list[str] = []
    failures: list[Exception] = []
    try:
        ended = on_each(instance, works)
        removed += [f"{host}: {name}" for host, names_ in ended.items() for name in names_]
    except Exception as error:
        failures.append(error)
    for host in hosts:
        try:
            removed += _sweep(host_instance(instance, host))
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0] if len(failures) == 1 else SeveralFailed("overlay.down", failures)
    return tuple(removed)


def _end(instance: str, host: str, progress: Progress, watch: Watch) -> Sequence[str]:
    own = host_instance(instance, host)
    runs = supervisor.pid(InstancePaths(own)) is not None
    if not runs and not cgroups.existing(own, cgroups.read_layout()):
        return ()
    return namespaces.down(own, progress=prefixed(progress, host), watch=Prefixed(watch, host))


def _sweep(own: str) -> tuple[str, ...]:
    """Kill what a host's cgroups still hold, and remove them and its data."""
    layout = cgroups.read_layout()
    for group in cgroups.existing(own, layout):
        cgroups.end_processes(own, group, layout)
        cgroups.remove(own, group, layout)
    cgroups.remove_parents(own, layout)
    return tuple(teardown.remove_data(own))


def located(
    plan: Plan, spread: Spread, found: Mapping[str, Iterable[ServiceState]], lacking: str
) -> tuple[ServiceState, ...]:
    """Put what each host tells of its services in the plan's order; `lacking` says why one tells
    nothing.
    """
    there = {
        state.name: replace(state, where=f"{host}: {state.where}")
        for host, states in found.items()
        for state in states
    }
    return tuple(
        there.get(one.name)
        or ServiceState(
            one.name,
            one.service,
            f"{spread.where[one.name]}: none",
            str(one.address),
            one.port,
            "absent",
            lacking,
        )
        for one in plan.replicas
    )
