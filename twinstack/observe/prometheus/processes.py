"""The processes beside the worlds: how they are, started and ended, by their cgroups alone."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinstack.errors import StepFailed, TwinstackError
from twinstack.linux import cgroup, cgroup_removal, procfs
from twinstack.linux.cgroup import ControlGroup, Layout
from twinstack.linux.procfs import PROC
from twinstack.observe.prometheus.files import ADDRESS, KeptProgram

_ANSWER_S = 2.0
_LISTEN = "0A"  # TCP_LISTEN, as /proc/net/tcp writes it


@dataclass(frozen=True, slots=True)
class ObservedProgram:
    """What runs of a program."""

    pids: tuple[int, ...]
    shells: tuple[tuple[str, ...], ...]  # the commands of those that keep it running


def observe(program: KeptProgram, layout: Layout) -> ObservedProgram:
    """Look at a program's cgroup."""
    pids = ControlGroup.at(program.cgroup, layout).processes()
    commands = (procfs.cmdline(pid) for pid in pids)
    shells = (words for words in commands if words[:2] == program.command[:2])
    return ObservedProgram(pids, tuple(shells))


def start(program: KeptProgram, layout: Layout) -> None:
    """Start a program that does not run: its shell joins the cgroup before all else.

    Raises: StepFailed; TwinstackError when somebody else has its port.
    """
    check_port(program)
    try:
        limits = cgroup.limit_values(layout, *program.limits)
        files = cgroup.limit_files(program.cgroup, layout, limits)
        cgroup.create(program.cgroup, layout, files)
        subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C is not for it
        )
    except OSError as error:
        cause = error.strerror or str(error)
        raise StepFailed(program.name, "cannot be started", cause) from error


def end(program: KeptProgram, layout: Layout) -> None:
    """End a program and what keeps it running. Raises: StepFailed when it stays."""
    cgroup_removal.end_processes(program.cgroup, layout)


def check_port(program: KeptProgram) -> None:
    """Check that nobody listens on a program's port. Raises: TwinstackError."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, program.port))
            probe.listen(1)
        except OSError as error:
            option = "--port" if program.name == "prometheus" else "--metrics-port"
            cause = error.strerror or str(error)
            remedy = f"choose another: {option}"
            raise TwinstackError(
                f"port {program.port}", "cannot be listened on", cause, remedy
            ) from error


def answers(program: KeptProgram, pids: Iterable[int]) -> bool:
    """Tell whether a program works; what another program answers at its port is not its answer."""
    return _listen(pids, program.port) and get(program.port, program.ready_path) is not None


def _listen(pids: Iterable[int], port: int) -> bool:
    """Tell whether one of these processes listens on a port. Source: proc_pid_net(5)."""
    local = f"{int.from_bytes(socket.inet_aton(ADDRESS), sys.byteorder):08X}:{port:04X}"
    lines = (line.split() for line in (PROC / "self/net/tcp").read_text().splitlines()[1:])
    wanted = {f"socket:[{words[9]}]" for words in lines if (words[1], words[3]) == (local, _LISTEN)}
    for pid in pids:
        with suppress(OSError):  # it has ended
            for handle in (PROC / str(pid) / "fd").iterdir():
                with suppress(OSError):
                    if os.readlink(handle) in wanted:
                        return True
    return False


def get(port: int, path: str) -> bytes | None:
    """Get what a program of ours answers with 200; None for any other."""
    with closing(http.client.HTTPConnection(ADDRESS, port, timeout=_ANSWER_S)) as link:
        try:
            link.request("GET", path)
            answer = link.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        return body if answer.status == 200 else None


def query(port: int, path: str) -> dict[str, Any]:
    """Ask Prometheus' API; {} where it does not answer. Source: prometheus.io, HTTP API."""
    try:
        document = json.loads(get(port, f"/api/v1/{path}") or b"{}")
    except ValueError:
        return {}
    data = document.get("data") if isinstance(document, dict) else None
    return data if isinstance(data, dict) else {}


def log_tail(script: Path) -> str:
    """Give the last line of a program's log."""
    try:
        lines = script.with_suffix(".log").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
