"""Enter running replicas from the host: their states, and a command in the network of one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twinstack.linux import netns
from twinstack.model.plan import Plan, Replica
from twinstack.namespaces import marks, supervisor
from twinstack.state.journal import read_journal
from twinstack.state.paths import InstancePaths
from twinstack.world import ServiceState, State


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


def states(plan: Plan, replicas: Sequence[Replica], *, bare: bool) -> tuple[ServiceState, ...]:
    """Give the states of some replicas of a plan, probed at once; `bare`: none runs anything."""
    paths = InstancePaths(plan.instance)
    programs = () if bare else supervisor.observe(paths).processes
    by_name = {program.replica: program for program in programs}
    up = read_journal(paths).shape is not None
    running = {name for name, program in by_name.items() if program.pid is not None}
    # A namespace of our name may be another's; what our supervisor runs is in one of ours.
    doubtful = {replica.name for replica in replicas} - running
    ours = marks.marked_namespaces(plan.mark) if up and doubtful else ()
    foreign = doubtful.difference(ours)

    def state_of(replica: Replica) -> ServiceState:
        program = by_name.get(replica.name)
        pid = program.pid if program else None
        state: State = "stopped"
        detail = ""
        if not up or replica.name in foreign or not netns.is_pinned(replica.name):
            state = "absent"
        elif bare:
            detail = "only the network is up"
        elif pid is None:
            detail = program.state.lower() if program else "not supervised"
        else:
            state, detail = probe(replica, pid)
        return ServiceState(
            replica.name,
            replica.service,
            f"netns {replica.name}",
            str(replica.address),
            replica.port,
            state,
            detail,
            pid,
            program.restarts if program else 0,
            replica.version,
        )

    if bare:  # nothing to wait for
        return tuple(map(state_of, replicas))
    with ThreadPoolExecutor(max_workers=8) as pool:
        return tuple(pool.map(state_of, replicas))
