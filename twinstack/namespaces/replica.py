"""Enter a running replica from the host: probe its health, run a command in its network."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from twinstack.linux import netns
from twinstack.model.plan import Replica
from twinstack.world import State


def run(name: str, command: Sequence[str]) -> int:
    """Run one of the host's commands in a namespace, on this terminal."""
    enter = ["nsenter", f"--net={netns.PINS / name}", "--", *_with_resolver()]
    return subprocess.run([*enter, *command], check=False).returncode


def _with_resolver() -> list[str]:
    """Give a prefix that makes DNS work in a namespace.

    A resolver on the host's loopback (systemd-resolved's 127.0.0.53) cannot be reached from
    there; its upstream servers can, and systemd lists them in a file of its own.
    """
    upstream = Path("/run/systemd/resolve/resolv.conf")
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        return []
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    local = bool(servers) and all(server.startswith("127.") for server in servers)
    if not local or not upstream.exists():
        return []
    script = f'mount --bind {upstream} /etc/resolv.conf && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def probe(replica: Replica, pid: int) -> tuple[State, str]:
    """Probe a replica's health from inside: its network, its root, its user."""
    user = f"--setgid {replica.user} --setuid {replica.user}"
    enter = f"nsenter --target {pid} --net --mount {user} --".split()
    try:
        done = subprocess.run(
            [*enter, *replica.health.command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=replica.health.timeout_s + 1,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
    except subprocess.TimeoutExpired:
        return "unhealthy", f"no answer within {replica.health.timeout_s:g} s"
    except OSError as error:
        return "unhealthy", str(error)
    if done.returncode == 0:
        return "healthy", ""
    output = (done.stderr or done.stdout).strip().splitlines()
    return "unhealthy", output[-1] if output else f"its probe exits {done.returncode}"
