"""Start programs to compare with, each in a role's root tree, and leave none behind.

A reference program gets what a service of the namespace world gets, in fewer words: a role's
tree as its root, scratch mounts in a mount namespace that dies with it, an unprivileged user,
and, if asked, the network of a replica. It has no cgroup: what is measured here is unlimited.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from twinstack.errors import Missing, NotHealthy
from twinstack.linux.session import Session, started

#: No service's user: no reference program may touch a service's files.
USER = 30990


@dataclass(frozen=True, slots=True)
class Program:
    """One program to start."""

    name: str
    command: tuple[str, ...]
    tree: Path | None = None  # its root; None: the host's own
    binds: tuple[tuple[Path, str], ...] = ()  # a directory of the host, and where in the tree
    environment: Mapping[str, str] = field(default_factory=dict)
    network: int | None = None  # the pid of the network namespace that it joins


@dataclass(frozen=True, slots=True)
class Running(Session):
    """A started reference program."""

    name: str
    log: Path

    def tail(self) -> str:
        """Give the end of what it printed."""
        with contextlib.suppress(OSError):
            return " ".join(self.log.read_text(errors="replace").split())[-300:]
        return ""


def launch_words(program: Program) -> list[str]:
    """Give the command line that starts a program in its root tree and network."""
    network = (
        [] if program.network is None else ["nsenter", f"--net=/proc/{program.network}/ns/net"]
    )
    # SIGTERM when this process dies, even by SIGKILL: nothing is left behind then either.
    confined = (
        f"setpriv --reuid={USER} --regid={USER} --clear-groups --inh-caps=-all"
        " --bounding-set=-all --no-new-privs --pdeathsig TERM env -i"
    )
    environment = (f"{key}={value}" for key, value in program.environment.items())
    as_user = [*confined.split(), *environment, *program.command]
    if program.tree is None:
        return [*network, *as_user]
    # A tree has no mount point that is not in it: each of these is, in every tree.
    lines = [
        f"root={shlex.quote(str(program.tree))}",
        'mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/tmp"',
        'mount -t tmpfs -o mode=1777,size=1m tmpfs "$root/run"',
        'mount --rbind /dev "$root/dev"',
        'mount -t proc proc "$root/proc"',
    ]
    for source, target in program.binds:
        lines.append(f'mount --bind {shlex.quote(str(source))} "$root"{shlex.quote(target)}')
        lines.append(f'mount -o remount,bind,ro "$root"{shlex.quote(target)}')
    lines.append(f'exec chroot "$root" {shlex.join(as_user)}')
    script = "set -e\n" + "\n".join(lines)
    return [*network, *["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c"], script]


@contextmanager
def running(programs: Sequence[Program]) -> Iterator[dict[str, Running]]:
    """Run reference programs while the block lasts. Raises: Missing unless root asks."""
    if os.geteuid() != 0:
        raise Missing("reference programs", "cannot be started", "only root may", "use sudo")
    with workspace() as directory, ExitStack() as stack:
        by_name = {}
        for program in programs:
            log = directory / f"{program.name}.log"
            output = stack.enter_context(log.open("wb"))
            log.chmod(0o666)  # nginx opens its standard output again, as nobody in particular.
            words = launch_words(program)
            leader = stack.enter_context(started(words, stdout=output, stderr=output))
            by_name[program.name] = Running(leader.pid, program.name, log)
        yield by_name


def await_port(program: Running, address: str, port: int, *, timeout_s: float = 15.0) -> None:
    """Wait until a program accepts connections. Raises: NotHealthy with the end of its log."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and program.pids():
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.05)
    cause = program.tail() or "it printed nothing"
    raise NotHealthy(program.name, f"does not listen on {address}:{port}", cause)


@contextmanager
def workspace() -> Iterator[Path]:
    """Give a directory that an unprivileged program can read, while the block lasts."""
    with tempfile.TemporaryDirectory(prefix="twinstack-bench-") as directory:
        place = Path(directory)
        place.chmod(0o755)
        yield place


def free_port() -> int:
    """Give a port of loopback on which nothing listens now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def nginx(name: str, tree: Path, place: Path, *options: str, network: int | None = None) -> Program:
    """Give nginx in its root tree; its configuration is nginx.conf in a directory of the host."""
    words = ("/usr/sbin/nginx", "-e", "stderr", "-c", "/mnt/nginx.conf", *options)
    return Program(name, words, tree, ((place, "/mnt"),), network=network)


def nginx_conf(http: str) -> str:
    """Write an nginx.conf of one worker that logs nothing and keeps connections; pure."""
    spools = "\n".join(
        f"    {kind}_temp_path /tmp/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        "daemon off;\nworker_processes 1;\npid /tmp/nginx.pid;\nerror_log stderr warn;\n"
        "events { worker_connections 1024; }\n"
        f"http {{\n{spools}\n    access_log off;\n    keepalive_requests 100000000;\n{http}\n}}\n"
    )
