"""Talk to the instance's supervisord over its socket, and find it by its pid.

supervisord restarts what dies. It is asked by XML-RPC, as supervisorctl does, so that a
question costs no interpreter. Source: supervisord.org, XML-RPC API.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
import xmlrpc.client
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinstack.errors import StepFailed
from twinstack.linux import process, procfs
from twinstack.namespaces.facts import ProgramFacts
from twinstack.state.paths import InstancePaths

#: How long supervisord may take to stop everything: PostgreSQL's checkpoint is the longest.
STOP_S = 20.0
_ALIVE = {"RUNNING", "STARTING", "BACKOFF", "STOPPING"}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=STOP_S + 10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _UnixConnection(self._path)


def conf_path(places: InstancePaths) -> Path:
    """Give the file of an instance's programs."""
    return places.run / "supervisord.conf"


def socket_path(places: InstancePaths) -> Path:
    """Give the socket that an instance's supervisord listens on."""
    return places.run / "supervisor.sock"


def pid(places: InstancePaths) -> int | None:
    """Find the instance's supervisord: the process that was started with our file.

    Its own pid file says which; where that is missing, or was not written yet, /proc does.
    """
    try:
        found = int((places.run / "supervisord.pid").read_text())
    except (OSError, ValueError):
        return _search(str(conf_path(places)))
    return found if str(conf_path(places)) in procfs.cmdline(found) else None


def _search(conf: str) -> int | None:
    for pid in procfs.pids():
        words = procfs.cmdline(pid)
        if conf in words and "supervisor.supervisord" in words:
            return pid
    return None


def answers(places: InstancePaths) -> bool:
    """Tell whether supervisord can be asked: one without its socket cannot."""
    with suppress(StepFailed):
        call(places, "getState")
        return True
    return False


def call(places: InstancePaths, method: str, *arguments: Any) -> Any:
    """Ask supervisord. Raises: StepFailed."""
    proxy = xmlrpc.client.ServerProxy(
        "http://localhost/RPC2", transport=_UnixTransport(str(socket_path(places)))
    )
    try:
        return getattr(proxy.supervisor, method)(*arguments)
    except xmlrpc.client.Fault as fault:
        raise StepFailed("supervisor", f"refuses {method}", fault.faultString) from fault
    except (OSError, http.client.HTTPException) as error:
        raise StepFailed("supervisor", "does not answer", str(error)) from error


@dataclass(frozen=True, slots=True)
class Supervised:
    """What supervisord tells: its pid, the programs that it knows, and how each does."""

    pid: int | None = None
    programs: frozenset[str] = frozenset()
    processes: tuple[ProgramFacts, ...] = ()


def observe(places: InstancePaths) -> Supervised:
    """Ask supervisord for its programs; empty when it is not up."""
    found = pid(places)
    if found is None:
        return Supervised()
    try:
        told = call(places, "getAllProcessInfo")
    except StepFailed:
        return Supervised(found)  # it is about to start or to end: nothing can be said to run
    spawned = _times_spawned(places)
    facts = tuple(
        ProgramFacts(
            replica=one["name"],
            pid=one["pid"] or None,
            state=one["statename"],
            restarts=max(0, spawned.get(one["name"], 1) - 1),
        )
        for one in told
    )
    return Supervised(found, frozenset(one.replica for one in facts), facts)


def _times_spawned(places: InstancePaths) -> dict[str, int]:
    counts: dict[str, int] = {}
    try:
        text = (places.run / "supervisord.log").read_text(errors="replace")
    except OSError:
        return counts
    for line in text.splitlines():
        _, found, rest = line.partition("spawned: '")
        if found:
            name = rest.partition("'")[0]
            counts[name] = counts.get(name, 0) + 1
    return counts


def start(places: InstancePaths, command: tuple[str, ...]) -> None:
    """Start supervisord and wait until it answers. Raises: StepFailed."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    environment["PYTHONPATH"] = command[0]
    # It daemonises: it has left our process group before this returns, so a Ctrl-C of the
    # user's later on does not reach it.
    process.run(command[1:], environment=environment, directory=Path("/"), timeout_s=20)
    deadline = time.monotonic() + 10
    while True:
        try:
            call(places, "getState")
            return
        except StepFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def reload(places: InstancePaths, stale: frozenset[str]) -> None:
    """Make supervisord's programs those of its file, and end what is to be started anew.

    `stale` names programs to be ended although their lines did not change. Everybody else keeps
    their process; who was ended waits for `start_program`. Raises: StepFailed.
    """
    added, changed, removed = call(places, "reloadConfig")[0]
    known = {one["name"] for one in call(places, "getAllProcessInfo")}
    end_programs(places, {*changed, *removed, *(stale & known)})
    for name in (*changed, *removed):
        call(places, "removeProcessGroup", name)
    for name in (*changed, *added):
        call(places, "addProcessGroup", name)


def end_programs(places: InstancePaths, names: set[str]) -> None:
    """End programs, all at once: one after the other each costs supervisord a second.

    Raises: StepFailed when one does not end within its bound.
    """
    for name in sorted(names):
        if call(places, "getProcessInfo", name)["statename"] in _ALIVE:
            call(places, "stopProcess", name, False)
    deadline = time.monotonic() + STOP_S
    while left := names & {
        one["name"] for one in call(places, "getAllProcessInfo") if one["statename"] in _ALIVE
    }:
        if time.monotonic() > deadline:
            raise StepFailed(f"process {min(left)}", "did not end", f"within {STOP_S:g} s")
        time.sleep(0.02)


def start_program(places: InstancePaths, name: str) -> None:
    """Start a program that does not run. Raises: StepFailed."""
    call(places, "startProcess", name, False)


def remove_program(places: InstancePaths, name: str) -> None:
    """End a program and forget it. Raises: StepFailed."""
    end_programs(places, {name})
    call(places, "removeProcessGroup", name)


def stop(places: InstancePaths) -> bool:
    """End supervisord and everything it runs, in an orderly way; tell whether it was up.

    Raises: StepFailed when it does not end within its bound.
    """
    found = pid(places)
    if found is None:
        return False
    deadline = time.monotonic() + STOP_S
    with suppress(StepFailed):  # one that does not answer is ended all the same
        # Left to itself supervisord stops one program a second; told so, all of them at once.
        call(places, "stopAllProcesses", False)
        while time.monotonic() < deadline and any(
            one["pid"] for one in call(places, "getAllProcessInfo")
        ):
            time.sleep(0.05)
    os.kill(found, signal.SIGTERM)
    while pid(places) is not None:
        if time.monotonic() > deadline:
            os.kill(found, signal.SIGKILL)
            raise StepFailed(f"supervisor {found}", "did not end", f"within {STOP_S:g} s")
        time.sleep(0.02)
    return True
