"""Stop and remove the cluster's engines, as if their hosts had lost power.

Each engine has data, state, cgroups and a socket under names of the instance: these alone tell
which processes and files are its own.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from twinstack.compose import engine_leftovers
from twinstack.compose.engine_record import read_record
from twinstack.errors import StepFailed
from twinstack.linux import procfs
from twinstack.software.building import remove_tree
from twinstack.swarm.nodes import SwarmNode

_END_TIMEOUT_S = 20.0
#: Programs of an engine, and those that exec into one.
_PROGRAMS = ("dockerd", "containerd", "nsenter", "unshare", "sh", "docker-proxy", "runc")


def stop(node: SwarmNode) -> bool:
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


def restore_files(nodes: Sequence[SwarmNode]) -> None:
    """Remove what stopped engines left in directories that all engines of a machine share.

    A file stays if any of them found it there at its start, or another engine still runs.
    """
    records = [record for node in nodes if (record := read_record(node.engine))]
    if records and not any(_programs("dockerd")):
        earlier = set[str].intersection(*(set(record.before.files) for record in records))
        engine_leftovers.restore_files(replace(records[0].before, files=sorted(earlier)))


def remove(node: SwarmNode) -> bool:
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
            ours = _is_in(pid, node.namespace)
        else:
            ours = any(state in argument for argument in command)
        if ours:
            yield pid


def _programs(*names: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    for pid in procfs.pids():
        command = procfs.cmdline(pid)
        program = Path(command[0]).name if command else ""
        if pid != os.getpid() and program.startswith(names):
            yield pid, program, command


def _is_in(pid: int, namespace: Path) -> bool:
    with suppress(OSError):
        return os.path.samefile(f"/proc/{pid}/ns/net", namespace)
    return False
