"""The engines of the cluster: start one in its host, stop one as if its host had lost power.

Each has data, state, cgroups and a socket of its own, all of them under names of the instance: so
what is to be ended and removed is told by those alone.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import docker

from twinstack.compose import engine_leftovers
from twinstack.compose.engine import connect, ensure_engine
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.engine_record import read_record
from twinstack.errors import StepFailed
from twinstack.linux import procfs
from twinstack.software.building import remove_tree
from twinstack.swarm.nodes import Node

_END_TIMEOUT_S = 20.0
#: Programs that belong to an engine, or are on the way to becoming one.
_PROGRAMS = ("dockerd", "containerd", "nsenter", "unshare", "sh", "docker-proxy", "runc")


def start(place: EnginePaths) -> None:
    """Start an engine that does not answer. Raises: Missing, StepFailed."""
    ensure_engine(place, lambda _line: None).close()


def answering(place: EnginePaths) -> docker.DockerClient | None:
    """Give a client of the engine, or None. Raises: Missing, CannotTell."""
    return connect(place) if place.socket.exists() else None


def stop(node: Node) -> bool:
    """End an engine and all that runs in it at once, as a loss of power would; its data stay.

    Says whether anything ran. Raises: StepFailed when something does not end.
    """
    place, ran = node.place, False
    deadline = time.monotonic() + _END_TIMEOUT_S
    # The engine first: it would restart what dies. What it starts meanwhile is caught next time.
    while pids := [*_processes(node)]:
        ran = True
        if time.monotonic() > deadline:
            raise StepFailed(f"engine {node.name}", "does not end", f"processes {pids}")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _collect(pids)
    record = read_record(place)
    if record:
        where = engine_leftovers.InstancePaths(
            place.data_root,
            place.exec_root(record.token),
            place.socket,
            place.cgroups(record.token),
            place.prefix,
        )
        ran |= bool(engine_leftovers.remove_own(where, data=False))
    return ran


def restore_files(nodes: Sequence[Node]) -> None:
    """Remove what stopped engines left in directories that all engines of a machine share.

    What was there before each of them was there before all; what runs now keeps it.
    """
    records = [record for node in nodes if (record := read_record(node.place))]
    if records and not any(_programs("dockerd")):
        there = set[str].intersection(*(set(one.before.files) for one in records))
        engine_leftovers.restore_files(replace(records[0].before, files=sorted(there)))


def remove(node: Node) -> bool:
    """Remove a stopped engine's data and state; says whether there was anything."""
    found = False
    for directory in (node.place.data_root, node.place.state):
        engine_leftovers.unmount_beneath(directory)
        found |= remove_tree(directory)
    return found


def _processes(node: Node) -> Iterator[int]:
    """List what runs for an engine: by our paths in its command line, proxies by their network."""
    mark = f"{node.place.state}/"
    for pid, program, words in _programs(*_PROGRAMS):
        is_ours = any(mark in word for word in words)
        if _is_in(pid, node.namespace) if program == "docker-proxy" else is_ours:
            yield pid


def _programs(*names: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    for pid in procfs.pids():
        words = procfs.cmdline(pid)
        program = Path(words[0]).name if words else ""
        if pid != os.getpid() and program.startswith(names):
            yield pid, program, words


def _is_in(pid: int, namespace: Path) -> bool:
    try:
        return os.path.samefile(f"/proc/{pid}/ns/net", namespace)
    except OSError:
        return False


def _collect(pids: list[int]) -> None:
    """Wait a moment for the ends; one that is our own child is no more than collected."""
    for pid in pids:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue
    time.sleep(0.05)
