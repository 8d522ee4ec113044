"""Talk to the instance's supervisord over its socket, and find it by its pid.

supervisord restarts processes that die. It is asked by XML-RPC, as supervisorctl does, so that
no question starts an interpreter. Source: supervisord.org, XML-RPC API.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import time
import xmlrpc.client
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinstack.errors import StepFailed
from twinstack.linux import process, procfs
from twinstack.linux.waiting import until
from twinstack.namespaces.facts import ProgramFacts
from twinstack.state.paths import InstancePaths

#: How long supervisord may take to stop everything: PostgreSQL's checkpoint takes longest.
STOP_S = 20.0
_START_S = 10.0
_POLL_S = 0.02
_ALIVE = {"RUNNING", "STARTING", "BACKOFF", "STOPPING"}


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = str(path)

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(STOP_S + 10)
        connection.sock.connect(self._path)
        return connection


def conf_path(paths: InstancePaths) -> Path:
    """Give the file of an instance's programs."""
    return paths.run / "supervisord.conf"


def pid(paths: InstancePaths) -> int | None:
    """Find the instance's supervisord: the process that was started with our file.

    Its pid file names it; where that is missing or not yet written, /proc is searched.
    """
    conf = str(conf_path(paths))
    try:
        written = int((paths.run / "supervisord.pid").read_text())
    except (OSError, ValueError):
        for candidate in procfs.pids():
            words = procfs.cmdline(candidate)
            if conf in words and "supervisor.supervisord" in words:
                return candidate
        return None
    return written if conf in procfs.cmdline(written) else None


def answers(paths: InstancePaths) -> bool:
    """Tell whether supervisord can be asked: one without its socket cannot."""
    with suppress(StepFailed):
        call(paths, "getState")
        return True
    return False


def call(paths: InstancePaths, method: str, *arguments: Any) -> Any:
    """Call a method of supervisord's. Raises: StepFailed."""
    transport = _UnixTransport(paths.run / "supervisor.sock")
    proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport)
    try:
        return getattr(proxy.supervisor, method)(*arguments)
    except xmlrpc.client.Fault as fault:
        raise StepFailed("supervisor", f"refuses {method}", fault.faultString) from fault
    except (OSError, http.client.HTTPException) as error:
        raise StepFailed("supervisor", "does not answer", str(error)) from error


@dataclass(frozen=True, slots=True)
class Supervised:
    """What supervisord reports."""

    pid: int | None = None  # its own
    programs: frozenset[str] = frozenset()  # known to it
    processes: tuple[ProgramFacts, ...] = ()


def observe(paths: InstancePaths) -> Supervised:
    """Ask supervisord for its programs; empty when it is not up."""
    own = pid(paths)
    if own is None:
        return Supervised()
    try:
        programs = call(paths, "getAllProcessInfo")
    except StepFailed:
        return Supervised(own)  # about to start or to end: nothing is known to run
    starts = _starts(paths)
    facts = tuple(
        ProgramFacts(
            program["name"],
            program["pid"] or None,
            program["statename"],
            restarts=max(0, starts[program["name"]] - 1),
        )
        for program in programs
    )
    return Supervised(own, frozenset(program.replica for program in facts), facts)


def _starts(paths: InstancePaths) -> Counter[str]:
    """Count how often each program was started, by the log."""
    try:
        text = (paths.run / "supervisord.log").read_text(errors="replace")
    except OSError:
        return Counter()
    return Counter(re.findall(r"spawned: '(.*?)'", text))


def start(paths: InstancePaths, command: tuple[str, ...]) -> None:
    """Start supervisord and wait until it answers. Raises: StepFailed."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    environment["PYTHONPATH"] = command[0]
    # It daemonises: it has left our process group before this returns, so a later Ctrl-C of the
    # user's does not reach it.
    process.run(command[1:], environment=environment, directory=Path("/"), timeout_s=20)
    if not until(lambda: answers(paths), _START_S, _POLL_S):
        call(paths, "getState")  # raises what is wrong


def reload(paths: InstancePaths, stale: frozenset[str]) -> None:
    """Make supervisord's programs those of its file, and end those to be started again.

    `stale` names programs to end although their lines did not change. All others keep their
    process; what was ended waits for `start_program`. Raises: StepFailed.
    """
    added, changed, removed = call(paths, "reloadConfig")[0]
    known = {program["name"] for program in call(paths, "getAllProcessInfo")}
    end_programs(paths, {*changed, *removed, *(stale & known)})
    for name in (*changed, *removed):
        call(paths, "removeProcessGroup", name)
    for name in (*changed, *added):
        call(paths, "addProcessGroup", name)


def end_programs(paths: InstancePaths, names: set[str]) -> None:
    """End programs, all at once: one after the other each costs supervisord a second.

    Raises: StepFailed when one does not end within its bound.
    """

    def alive() -> set[str]:
        programs = call(paths, "getAllProcessInfo")
        return names & {each["name"] for each in programs if each["statename"] in _ALIVE}

    for name in sorted(alive()):
        call(paths, "stopProcess", name, False)
    if not until(lambda: not alive(), STOP_S, _POLL_S):
        left = ", ".join(sorted(alive()))
        raise StepFailed(f"process {left}", "did not end", f"within {STOP_S:g} s")


def start_program(paths: InstancePaths, name: str) -> None:
    """Start a program that does not run. Raises: StepFailed."""
    call(paths, "startProcess", name, False)


def remove_program(paths: InstancePaths, name: str) -> None:
    """End a program and remove it. Raises: StepFailed."""
    end_programs(paths, {name})
    call(paths, "removeProcessGroup", name)


def stop(paths: InstancePaths) -> bool:
    """End supervisord and everything it runs, in an orderly way; tell whether it was up.

    Raises: StepFailed when it does not end within its bound.
    """
    own = pid(paths)
    if own is None:
        return False
    deadline_s = time.monotonic() + STOP_S
    with suppress(StepFailed):  # one that does not answer is ended all the same
        # Left to itself supervisord stops one program a second; asked to, all of them at once.
        call(paths, "stopAllProcesses", False)
        until(
            lambda: not any(each["pid"] for each in call(paths, "getAllProcessInfo")),
            STOP_S,
            _POLL_S,
        )
    os.kill(own, signal.SIGTERM)
    if not until(lambda: pid(paths) is None, deadline_s - time.monotonic(), _POLL_S):
        os.kill(own, signal.SIGKILL)
        raise StepFailed(f"supervisor {own}", "did not end", f"within {STOP_S:g} s")
    return True
