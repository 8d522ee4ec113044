"""What the Swarm's checks share: a cluster, a child process to kill, snapshots of the machine.

Images come from the engine of the Docker checks. Hosts and engines belong to the tests' instance.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.docker_steps import ENGINE, INSTANCE, Point, Striker
from tests.support.own_engine import engine_paths, print_nothing
from tests.support.project import ROOT
from tests.support.sandbox import differences
from twinstack.errors import TwinstackError
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.reconcile import UNWATCHED, Watch
from twinstack.swarm.nodes import SwarmNode, SwarmPaths
from twinstack.swarm.teardown import down
from twinstack.swarm.world import SwarmWorld, hosts_for

__all__ = ["INSTANCE"]

UP_TIMEOUT_S = 120.0
KILLED = -signal.SIGKILL


def swarm(
    count: int, instance: str = INSTANCE, engine: Any = ENGINE, watch: Watch = UNWATCHED
) -> SwarmWorld:
    """Give the cluster of the tests."""
    topology = load(ROOT / "topology.yml")
    hosts = hosts_for(instance, topology.hosts, count)
    plan = resolve(topology, "tiered", instance)
    return SwarmWorld(plan, hosts, topology.hosts.underlay, engine, ROOT, watch)


def published_port(world: SwarmWorld, service: str) -> int:
    """Give the port of each host that a service is published at."""
    published = world.plan.published_port("docker", service)
    assert published
    return published.port


def fetch(node: SwarmNode, url: str, *options: str) -> str:
    """Get a URL from a host; "" without a response."""
    words = ["nsenter", f"--net={node.namespace}", "curl", "-sS", "--max-time", "5", *options, url]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def status_of(node: SwarmNode, url: str) -> str:
    """Give the HTTP status of a URL, requested from a host; 000 without a response."""
    return fetch(node, url, "-o", "/dev/null", "-w", "%{http_code}")


def snapshot() -> dict[str, str]:
    """Record everything of the machine that a cluster could change, class by class."""
    mark = re.compile(rf"{INSTANCE}(?![0-9])")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "namespaces": _only(mark.search, _output("ip", "netns", "list")),
        "bridges": _only(
            re.compile("docker|underlay").search,
            _output("ip", "-o", "link", "show", "type", "bridge"),
        ),
        "rules": _only(re.compile("DOCKER|docker|twinstack").search, _output("iptables-save")),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "mounts": "\n".join(line.split(" ", 4)[4] for line in mounts if _ours(line)),
        "processes": "\n".join(_processes()),
        "cgroups": "\n".join(
            str(path)
            for path in Path("/sys/fs/cgroup").glob("*/twinstack-swarm-*")
            if mark.search(path.name)
        ),
        "run": _tree(SwarmPaths(INSTANCE).run),
        "data": _tree(SwarmPaths(INSTANCE).lib),
        "engines' files": "\n".join(
            str(path) for path in (Path("/etc/docker"), Path("/run/docker")) if path.exists()
        ),
    }


def left(before: dict[str, str]) -> list[str]:
    """Name what differs from before."""
    return differences(before, snapshot())


def run_child(
    verb: str, count: int, log: Path, point: Point | None = None, after_s: float | None = None
) -> tuple[int, str]:
    """Run a command in a process group of its own, and strike it at a point or after a while.

    Gives its exit code and what it printed.
    """
    request = {
        "verb": verb,
        "count": count,
        "log": str(log),
        "instance": INSTANCE,
        "engine": ENGINE.state.parent.name.rpartition("dockertest-")[2],
        "point": [point.step, point.fault] if point else None,
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.swarm_steps", json.dumps(request)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, printed = child.communicate(timeout=after_s or UP_TIMEOUT_S * 2)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        _, printed = child.communicate()
    assert child.returncode in {0, 1, KILLED}, printed
    assert "Traceback" not in printed, printed
    return child.returncode, printed


def _child(request: dict[str, Any]) -> None:
    """Be the command, in a process of its own."""
    point = Point(*request["point"]) if request["point"] else None
    watch = Striker(Path(request["log"]), point)
    instance, engine = request["instance"], engine_paths(request["engine"])
    try:
        if request["verb"] == "up":
            world = swarm(request["count"], instance, engine, watch)
            world.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
        else:
            down(instance, progress=print_nothing, watch=watch)
    except TwinstackError as error:
        sys.exit(str(error))


def _ours(line: str) -> bool:
    return f"/{INSTANCE}/swarm" in line or f"ts-{INSTANCE}-" in line


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def _only(wanted: Callable[[str], object], text: str) -> str:
    """Keep the lines that a cluster could be in; counters aside."""
    lines = re.sub(r"\[\d+:\d+\]", "", text).splitlines()
    return "\n".join(line for line in lines if wanted(line))


def _processes() -> Iterator[str]:
    for entry in Path("/proc").iterdir():
        try:
            line = (
                (entry / "cmdline").read_text().replace("\0", " ") if entry.name.isdigit() else ""
            )
        except OSError:
            continue
        if f"/{INSTANCE}/swarm/" in line:
            yield line


def _tree(directory: Path) -> str:
    return "\n".join(sorted(str(path) for path in directory.rglob("*")))


if __name__ == "__main__":
    _child(json.loads(sys.argv[1]))
