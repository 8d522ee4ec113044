"""Remove an instance's simulated hosts and everything on them; by their marks alone.

Works after a crash at any step. Goes on past failures and reports them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from twinstack.faults import drill_record
from twinstack.namespaces import cgroups, supervisor
from twinstack.namespaces import teardown as namespace_teardown
from twinstack.namespaces import world as namespaces
from twinstack.overlay import hosts
from twinstack.overlay.host_plans import host_instance, underlay_instance
from twinstack.reconcile import UNWATCHED, Progress, Teardown, Watch
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import require_root

LOCK = "overlay"


def down(instance: str, *, progress: Progress, watch: Watch = UNWATCHED) -> tuple[str, ...]:
    """Take an instance's overlay down: services, hosts, underlay, data.

    Raises: Locked; SeveralFailed after everything else was removed.
    """
    require_root("overlay.down")
    with locked(InstancePaths(underlay_instance(instance)), LOCK):
        drill = drill_record.take_away(instance, "overlay")
        return (*drill, *remove_all(instance, progress, watch))


def remove_all(instance: str, progress: Progress, watch: Watch) -> tuple[str, ...]:
    """As `down`, for a caller that holds the lock."""
    outer = underlay_instance(instance)
    removed = clear(instance, hosts.known(instance), progress, watch)
    removed = (*removed, *namespaces.down(outer, progress=progress, data=True, watch=watch))
    namespace_teardown.forget(outer)
    remove_run(InstancePaths(outer), LOCK)
    return removed


def part_instances(instance: str) -> frozenset[str]:
    """Name the instances that the underlay and the hosts are."""
    parts = (host_instance(instance, host) for host in hosts.known(instance))
    return frozenset({underlay_instance(instance), *parts})


def removable(instance: str) -> tuple[str, ...]:
    """Name what `down` would remove; changes nothing. Raises: StepFailed."""
    ending = tuple(f"{host}: everything that runs there" for host in hosts.known(instance))
    return (*ending, *namespace_teardown.removable(underlay_instance(instance)))


def clear(instance: str, names: Sequence[str], progress: Progress, watch: Watch) -> tuple[str, ...]:
    """End what runs on hosts and remove their data; the hosts themselves stay.

    Raises: the failure, or SeveralFailed, after everything else was removed.
    """
    whole = set(hosts.present(instance))
    works = {
        host: partial(_end, instance, host, progress, watch) for host in names if host in whole
    }

    def end_all() -> tuple[str, ...]:
        ended = hosts.on_each(instance, works)
        return tuple(f"{host}: {name}" for host, removed in ended.items() for name in removed)

    job = Teardown()
    job.tidy("hosts", end_all)
    for host in names:
        job.tidy(f"host {host}", partial(_sweep, host_instance(instance, host)))
    return job.finish("overlay.down")


def _end(instance: str, host: str, progress: Progress, watch: Watch) -> Sequence[str]:
    """End what runs on a host. One that runs nothing is removed as a whole later."""
    own = host_instance(instance, host)
    runs = supervisor.pid(InstancePaths(own)) is not None
    if not runs and not cgroups.existing(own, cgroups.read_layout()):
        return ()
    shown, seen = hosts.prefixed(progress, host), hosts.HostWatch(watch, host)
    return namespaces.down(own, progress=shown, watch=seen)


def _sweep(own: str) -> tuple[str, ...]:
    """Kill what a host's cgroups still hold, and remove them and its data."""
    layout = cgroups.read_layout()
    for group in cgroups.existing(own, layout):
        cgroups.remove(own, group, layout)
    cgroups.remove_parents(own, layout)
    return namespace_teardown.remove_data(own)
