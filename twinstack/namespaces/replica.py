"""Enter a running replica from the host: ask for its health, run a command in its network."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from twinstack.errors import Missing
from twinstack.linux import netns
from twinstack.model.plan import Replica
from twinstack.world import State


def run(name: str, command: Sequence[str]) -> int:
    """Run one of the host's commands in a namespace, on this terminal. Raises: Missing."""
    if not netns.is_pinned(name):
        raise Missing(
            f"namespace {name}", "cannot be entered", "it is not there", 'run "invoke net.up"'
        )
    words = ["nsenter", f"--net={netns.PINS / name}", "--", *_with_resolver(), *command]
    return subprocess.run(words, check=False).returncode


def _with_resolver() -> list[str]:
    """Give a prefix that makes names resolve in a namespace.

    A resolver on the host's loopback (systemd-resolved's 127.0.0.53) cannot be reached from
    there; the servers behind it can, and systemd lists them in a file of its own.
    """
    behind = Path("/run/systemd/resolve/resolv.conf")
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        return []
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    if not servers or not all(one.startswith("127.") for one in servers) or not behind.exists():
        return []
    script = f'mount --bind {behind} /etc/resolv.conf && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def probe(replica: Replica, pid: int) -> tuple[State, str]:
    """Ask a replica for its health from inside: its network, its root, its user."""
    user = str(replica.user)
    command = [
        "nsenter",
        "--target",
        str(pid),
        "--net",
        "--mount",
        "--setgid",
        user,
        "--setuid",
        user,
        "--",
        *replica.health.command,
    ]
    try:
        done = subprocess.run(
            command,
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
    said = (done.stderr or done.stdout).strip().splitlines()
    return "unhealthy", said[-1] if said else f"its probe exits {done.returncode}"
