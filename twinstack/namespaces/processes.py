"""Carry out the steps of what runs: directories, files, cgroups, the supervisor, processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from twinstack.errors import StepFailed
from twinstack.linux import files
from twinstack.linux.cgroup import Layout
from twinstack.namespaces import cgroups, supervisor
from twinstack.namespaces.process_steps import Cgroup, Directory, File, Process, Supervisor
from twinstack.namespaces.steps import Change, Step
from twinstack.reconcile import Progress, Watch, watched
from twinstack.state.paths import InstancePaths


def apply(
    places: InstancePaths, changes: Sequence[Change], progress: Progress, watch: Watch
) -> None:
    """Do those of the changes. Raises: StepFailed, and what was done so far stays."""
    layout = cgroups.read_layout()
    steps = [change.step for change in changes]
    stale = frozenset(step.replica for step in steps if isinstance(step, Process))
    reload = (stale or _reconfigured(places, steps)) and supervisor.pid(places) is not None
    if reload and not supervisor.answers(places):
        progress("ending the supervisor, which does not answer")
        supervisor.stop(places)
        reload = False
    for step in steps:
        if not isinstance(step, Directory | File | Cgroup | Supervisor | Process):
            continue
        try:
            if reload and isinstance(step, Supervisor | Process):
                supervisor.reload(places, stale)
                reload = False
            with watched(watch, step.name):
                if isinstance(step, Directory):
                    _directory(step)
                elif isinstance(step, File):
                    _write(step)
                elif isinstance(step, Cgroup):
                    cgroups.apply(step, layout)
                elif isinstance(step, Supervisor):
                    _supervise(places, step, layout, progress)
                else:
                    supervisor.start_program(places, step.replica)
        except OSError as error:
            cause = error.strerror or str(error)
            raise StepFailed(step.name, "cannot be made", cause) from error
    if reload:
        supervisor.reload(places, stale)


def _reconfigured(places: InstancePaths, steps: Sequence[Step]) -> bool:
    conf = str(supervisor.conf_path(places))
    return any(
        isinstance(step, Supervisor) or (isinstance(step, File) and step.path == conf)
        for step in steps
    )


def _supervise(places: InstancePaths, step: Supervisor, layout: Layout, progress: Progress) -> None:
    if supervisor.pid(places) is not None:
        return  # it has read its file by now
    for name in cgroups.existing(places.instance, layout):
        # What an earlier supervisor left behind is watched by nobody.
        cgroups.end_processes(places.instance, name, layout)
    progress("starting the supervisor")
    supervisor.start(places, step.command)


def _directory(step: Directory) -> None:
    path = Path(step.path)
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, step.user, step.user)
    path.chmod(step.mode)


def _write(step: File) -> None:
    """Write whole or not at all: a launch script may be read at any moment."""
    path = Path(step.path)
    if step.in_place and path.is_file():
        path.write_text(step.content)
        path.chmod(step.mode)
        return
    files.write(path, step.content, mode=step.mode)
