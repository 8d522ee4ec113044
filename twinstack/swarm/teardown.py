"""Remove an instance's cluster: engines, data, hosts; by their names and marks alone.

Needs no plan, no file and no engine that answers. Goes on past failures and reports them all.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from twinstack.compose import engine_leftovers
from twinstack.compose.engine_record import read_record
from twinstack.compose.failures import translate
from twinstack.errors import StepFailed
from twinstack.linux import procfs
from twinstack.reconcile import UNWATCHED, Progress, Teardown, Watch
from twinstack.software.building import remove_tree
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.swarm import hosts
from twinstack.swarm.nodes import SwarmNode, SwarmPaths
from twinstack.swarm.observe import known_nodes
from twinstack.world import require_root

_END_TIMEOUT_S = 20.0
#: Programs of an engine, and those that exec into one.
_PROGRAMS = ("dockerd", "containerd", "nsenter", "unshare", "sh", "docker-proxy", "runc")


def down(instance: str, *, progress: Progress, watch: Watch = UNWATCHED) -> tuple[str, ...]:
    """Remove all of it and name what was removed. Raises: Locked, SeveralFailed."""
    require_root("swarm.down")
    job, paths = Teardown(watch, 'run "invoke swarm.down" again', translate), SwarmPaths(instance)
    with locked(InstancePaths(instance), "swarm"):
        nodes = [SwarmNode(instance, name) for name in known_nodes(instance)]
        # An engine that does not stop keeps its files, so that the next `down` finds it.
        stopped = []
        for node in nodes:
            progress(f"engine {node.name}: removing")
            if job.remove(f"engine {node.name}: stop", partial(stop_engine, node), report=False):
                stopped.append(node)
        restore = partial(_restore_files, nodes)
        job.remove("files that engines share: restore", restore, report=False)
        for node in stopped:
            job.remove(f"engine {node.name}", partial(_remove_engine, node))
        for name in hosts.present(instance):
            job.remove(f"namespace {name}", partial(hosts.remove, instance, name))
        for directory in (paths.lib, paths.run):
            if not job.failures:
                job.remove(str(directory), partial(remove_tree, directory))
        with suppress(OSError):  # other worlds may keep their data beside it
            paths.lib.parent.rmdir()
        remove_run(InstancePaths(instance), "swarm")
    return job.finish(f"swarm.down {instance}")


def removable(instance: str) -> tuple[str, ...]:
    """Name what `down` would remove; changes nothing."""
    paths = SwarmPaths(instance)
    engines = (f"engine {name}" for name in known_nodes(instance))
    namespaces = (f"namespace {name}" for name in hosts.present(instance))
    directories = (str(path) for path in (paths.lib, paths.run) if path.exists())
    return (*engines, *namespaces, *directories)


def remove_node(node: SwarmNode) -> None:
    """Remove one node: its engine, its data, its host."""
    stop_engine(node)
    _remove_engine(node)
    if node.namespace.name in hosts.present(node.instance):
        hosts.remove(node.instance, node.namespace.name)


def stop_engine(node: SwarmNode) -> bool:
    """Kill an engine and everything that runs in it; its data stays. Say whether anything ran.

    Raises: StepFailed when a process does not end.
    """
    engine, ran = node.engine, False
    deadline = time.monotonic() + _END_TIMEOUT_S
    # The engine restarts what dies before it: look again until nothing is left.
    while pids := [*_processes(node)]:
        ran = True
        if time.monotonic() > deadline:
            raise StepFailed(f"engine {node.name}", "does not end", f"processes {pids}")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            with suppress(ChildProcessError):  # only our own children need reaping
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.05)
    record = read_record(engine)
    if record:
        ran |= bool(engine_leftovers.remove_own(engine, record.token, data=False))
    return ran


def _restore_files(nodes: Sequence[SwarmNode]) -> None:
    """Remove what stopped engines left in directories that all engines of a machine share.

    A file stays if any of them found it there at its start, or another engine still runs.
    """
    records = [record for node in nodes if (record := read_record(node.engine))]
    if records and not any(_programs("dockerd")):
        earlier = set[str].intersection(*(set(record.before.files) for record in records))
        engine_leftovers.restore_files(replace(records[0].before, files=sorted(earlier)))


def _remove_engine(node: SwarmNode) -> bool:
    """Remove a stopped engine's data and state; say whether there was any."""
    removed = False
    for directory in (node.engine.data_root, node.engine.state):
        engine_leftovers.unmount_beneath(directory)
        removed |= remove_tree(directory)
    return removed


def _processes(node: SwarmNode) -> Iterator[int]:
    """List an engine's processes, by our paths in their command lines or by their network."""
    state = f"{node.engine.state}/"
    for pid, program, command in _programs(*_PROGRAMS):
        if program == "docker-proxy":
            with suppress(OSError):
                if os.path.samefile(f"/proc/{pid}/ns/net", node.namespace):
                    yield pid
        elif any(state in argument for argument in command):
            yield pid


def _programs(*names: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    for pid in procfs.pids():
        command = procfs.cmdline(pid)
        program = Path(command[0]).name if command else ""
        if pid != os.getpid() and program.startswith(names):
            yield pid, program, command
