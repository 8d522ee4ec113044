"""The cgroup of each replica: twinstack/INSTANCE/REPLICA in every controller's hierarchy.

`twinstack.linux.cgroup` reads and writes versions 1 and 2.
"""

from __future__ import annotations

from pathlib import Path

from twinstack.errors import Missing, StepFailed
from twinstack.linux import cgroup, cgroup_removal
from twinstack.linux.cgroup import CONTROLLERS, ControlGroup, Layout
from twinstack.model.plan import Plan
from twinstack.model.topology import Limits
from twinstack.namespaces.process_steps import Cgroup


def read_layout(mountinfo: str | None = None) -> Layout:
    """Find out which version serves which controller, here or by another mountinfo's text.

    Raises: Missing when none serves a controller that we limit by.
    """
    layout = cgroup.read_layout(mountinfo)
    if lacking := [name for name in CONTROLLERS if name not in layout.mounts]:
        cause = f"no controller {', '.join(lacking)} is mounted"
        raise Missing("cgroups", "cannot limit", cause, 'run "invoke doctor"')
    return layout


def path_of(instance: str, replica: str) -> str:
    """Give a replica's cgroup path below each controller's mount."""
    return f"twinstack/{instance}/{replica}"


def step(plan: Plan, replica: str, limits: Limits | None, layout: Layout) -> Cgroup:
    """Decide a replica's cgroup as a step."""
    path = path_of(plan.instance, replica)
    asked = (limits.cpus, limits.memory_bytes, limits.pids) if limits else (None, None, None)
    values = cgroup.limit_values(layout, *asked)
    files = cgroup.limit_files(path, layout, values)
    written = tuple((str(file), value) for file, value in files.items())
    return Cgroup(replica, path, limits, tuple(values.items()), written)


def read(step: Cgroup) -> dict[str, str] | None:
    """Read a cgroup's limits back; None when any of its directories is absent."""
    files = [Path(file) for file, _ in step.files]
    if not all(file.parent.is_dir() for file in files):
        return None
    return {file.name: cgroup.read_limit(file) for file in files if file.name != "cgroup.procs"}


def apply(step: Cgroup, layout: Layout) -> None:
    """Create a cgroup and write its limits. Raises: StepFailed."""
    try:
        cgroup.create(step.path, layout, {Path(file): value for file, value in step.files})
    except OSError as error:
        raise StepFailed(step.name, "cannot be created", str(error)) from error


def _group(instance: str, replica: str, layout: Layout) -> ControlGroup:
    return ControlGroup.at(path_of(instance, replica), layout)


def processes(instance: str, replica: str, layout: Layout) -> tuple[int, ...]:
    """List the processes in a replica's cgroup."""
    return _group(instance, replica, layout).processes()


def cpu_us(instance: str, replica: str, layout: Layout) -> int:
    """Give a replica's CPU time so far. Units: microseconds. Raises: StepFailed."""
    try:
        return _group(instance, replica, layout).cpu_us()
    except OSError as error:
        raise StepFailed(f"cgroup {replica}", "cannot be read", str(error)) from error


def existing(instance: str, layout: Layout) -> tuple[str, ...]:
    """List the cgroups that an instance has, declared or not."""
    return cgroup_removal.children(f"twinstack/{instance}", layout)


def end_processes(instance: str, replica: str, layout: Layout) -> None:
    """Kill what still runs in a replica's cgroup. Raises: StepFailed when one stays."""
    cgroup_removal.end_processes(path_of(instance, replica), layout)


def remove(instance: str, replica: str, layout: Layout) -> None:
    """End what still runs in a cgroup, and remove it. Raises: StepFailed."""
    cgroup_removal.remove(path_of(instance, replica), layout)


def remove_parents(instance: str, layout: Layout) -> None:
    """Remove the instance's own level, and ours above it once no instance is left."""
    cgroup_removal.remove_empty(f"twinstack/{instance}", layout)
