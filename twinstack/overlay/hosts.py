"""Simulated hosts: where each is pinned, running work on them, and merging their results.

A host is a network and a mount namespace, both pinned: `nsenter --net=… --mount=…` enters it as
ssh would a machine. Work on a host is done in a child process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from twinstack.errors import Missing, raise_all
from twinstack.linux import child as children
from twinstack.linux import mounts, netns
from twinstack.model import names
from twinstack.model.plan import Plan, Replica
from twinstack.namespaces import marks
from twinstack.overlay.host_plans import Spread, underlay_instance
from twinstack.reconcile import Change, Preview, Progress, Watch
from twinstack.state.journal import read_journal
from twinstack.state.paths import InstancePaths
from twinstack.world import ServiceState

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class HostPins:
    """The two files through which a host is entered."""

    network: Path
    mounts: Path

    @property
    def enter(self) -> tuple[str, ...]:
        """Give the prefix that runs a command on the host."""
        return ("nsenter", f"--net={self.network}", f"--mount={self.mounts}", "--")


def pins_of(instance: str, host: str) -> HostPins:
    """Give a host's pins. Raises: Missing when it is not up."""
    run = InstancePaths(underlay_instance(instance)).run
    if not netns.is_pinned(host) or host not in mounts.pinned(run):
        remedy = 'run "invoke overlay.up"'
        raise Missing(f"host {host}", "cannot be entered", "it is not up", remedy)
    return HostPins(netns.PINS / host, run / mounts.DIRECTORY / host)


def present(instance: str) -> tuple[str, ...]:
    """List the hosts that are whole: network and mounts pinned, with our mark."""
    outer = underlay_instance(instance)
    pinned = set(mounts.pinned(InstancePaths(outer).run))
    return tuple(name for name in marks.marked_namespaces(names.mark(outer)) if name in pinned)


def known(instance: str) -> tuple[str, ...]:
    """List the hosts of which anything may be left, whole or not."""
    outer = InstancePaths(underlay_instance(instance))
    marked = marks.marked_namespaces(names.mark(outer.instance))
    intended = read_journal(outer).intended
    candidates = {*mounts.pinned(outer.run), *marked, *intended}
    return tuple(
        sorted(name for name in candidates if names.host_link(name) in intended or name in marked)
    )


@dataclass(frozen=True, slots=True)
class HostWatch:
    """Shows a watch the steps of one host, under the host's name."""

    watch: Watch
    host: str

    def before(self, step: str) -> None:
        self.watch.before(f"{self.host}: {step}")

    def during(self, step: str) -> None:
        self.watch.during(f"{self.host}: {step}")

    def after(self, step: str) -> None:
        self.watch.after(f"{self.host}: {step}")


def prefixed(progress: Progress, host: str) -> Progress:
    """Show a host's progress under its name."""
    return lambda line: progress(f"{host}: {line}")


def on(instance: str, host: str, work: Callable[[], Result]) -> Result:
    """Do something on a host and give its result. Raises: Missing; what the work raises."""
    pins = pins_of(instance, host)
    return children.inside(f"host {host}", pins.network, work, pins.mounts)


def on_each(
    instance: str, works: Mapping[str, Callable[[], Result]], *, at_once: int | None = None
) -> dict[str, Result]:
    """Do something on several hosts, `at_once` of them at a time; go on past errors.

    Raises: the one error, or SeveralFailed.
    """
    waiting = list(works.items())
    results: dict[str, Result] = {}
    failures: list[Exception] = []
    running: dict[str, children.Child] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (at_once or len(works)):
                host, work = waiting.pop(0)
                pins = pins_of(instance, host)
                running[host] = children.start(
                    f"host {host}", pins.network, work, mounts=pins.mounts
                )
            host = next(iter(running))
            try:
                results[host] = running[host].answer()
            except Exception as error:
                failures.append(error)
            running.pop(host).end()
    finally:
        for child in running.values():
            child.end()
    raise_all("hosts", failures)
    return results


@dataclass(frozen=True, slots=True)
class HostAction:
    """A step or removal on a host, as that host describes it."""

    name: str
    commands: tuple[str, ...]


def merged_preview(previews: Mapping[str, Preview]) -> Preview:
    """Merge what each host would do; each change names its host."""
    changes = (
        Change(HostAction(f"{host}: {change.step.name}", change.step.commands), change.reason)
        for host, preview in previews.items()
        for change in preview.changes
    )
    unbuilt = (f"{host}: {text}" for host, preview in previews.items() for text in preview.unbuilt)
    total = sum(preview.total for preview in previews.values())
    return Preview(total, tuple(changes), tuple(unbuilt))


def merged_states(
    plan: Plan, spread: Spread, states: Mapping[str, Iterable[ServiceState]], absence: str
) -> tuple[ServiceState, ...]:
    """Merge the states that each host gives, in the plan's order.

    `absence` explains a replica that none gives.
    """
    by_name = {
        state.name: replace(state, where=f"{host}: {state.where}")
        for host, of_host in states.items()
        for state in of_host
    }

    def absent(replica: Replica) -> ServiceState:
        where, address = f"{spread.where[replica.name]}: none", str(replica.address)
        return ServiceState(
            replica.name, replica.service, where, address, replica.port, "absent", absence
        )

    return tuple(by_name.get(replica.name) or absent(replica) for replica in plan.replicas)
