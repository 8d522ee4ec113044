"""What does it cost to reach another host? Loopback, a bridge, raw VXLAN and Swarm's overlay.

One server (nginx, 1 KB answers) and one client (wrk, one connection) are put at the ends of each
path, between the same two hosts, by entering the networks that exist: a Swarm task's, and one
on a VXLAN made beside it. So only the path differs. Every path is loaded with a kept connection
and with a new one for each request.

The hosts are simulated: their underlay is a bridge and two veth pairs, so a wire's own time is
not in any figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from bench.engine.arm import CPU, PROGRAMS, Arm, Contrast, Quantity
from bench.engine.design import Design
from bench.engine.experiment import Experiment, Stage, run
from bench.engine.loads import Load, by_wrk
from bench.engine.result import outcome_of
from bench.engine.store import Outcome
from bench.load.programs import Program, nginx_conf, running, workspace
from bench.questions.crossing_lab import PathEnd, raw_ends
from twinstack.errors import CannotTell
from twinstack.linux import process
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.swarm.client import client_of
from twinstack.swarm.world import SwarmWorld

LOOPBACK, BRIDGE, SAME = "loopback", "same host, bridge", "same host, Swarm"
RAW, SWARM = "two hosts, raw VXLAN", "two hosts, Swarm"
KEPT, NEW = "kept", "new"
#: What is compared with what, and what the ratio says.
CONTRASTS = (
    (BRIDGE, LOOPBACK, "A bridge and two veth pairs over loopback"),
    (RAW, BRIDGE, "Raw VXLAN to another host over a bridge on one"),
    (SAME, BRIDGE, "Swarm over a bridge, on one host"),
    (SWARM, RAW, "Swarm's overlay over raw VXLAN, to another host"),
)
PORT = 18080
ANSWER_BYTES = 1024
#: What the kernel does between two namespaces is done by the sender, and in the CPU time.
TIME = Quantity("time", "time per request", lambda window: 1e6 / window.rate, "µs")


@dataclass(frozen=True, slots=True)
class NetworkPath:
    """One path from a client to a server, by the pids of the networks that they are in."""

    name: str
    client: int
    server: int
    address: IPv4Address  # the server's


def ask(stack: Stack, *, how: Design, progress: Progress) -> Outcome:
    """Compare the paths on a Swarm, and leave it as it was.

    Raises: CannotTell when no two tasks are placed as needed, or a load failed; StepFailed.
    """
    how.check()
    roots, _ = stack.software(progress)
    world = stack.swarm()
    was_up = bool(world.facts().tasks)
    try:
        world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
        experiment = Experiment(
            stage=_stage(world, roots.tree("nginx"), round(how.seconds)),
            contrasts=tuple(
                Contrast(f"{more}, {load}", f"{less}, {load}", f"{what}; {load}")
                for more, less, what in CONTRASTS
                for load in (KEPT, NEW)
            ),
            load=f"wrk, one connection, kept or new each time; answers of {ANSWER_BYTES} bytes",
            quantities=(CPU, TIME),
        )
        measured = run(experiment, how, progress)
    finally:
        if not was_up:
            world.down(progress=progress)
    return outcome_of(measured, "crossing", world.plan)


def _stage(world: SwarmWorld, tree: Path, seconds: int) -> Stage:
    """Give the paths with a server at the end of each; `tree` is nginx's root."""

    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        with raw_ends(world.nodes[:2], (0, 0, 1), world.plan.instance) as raw, workspace() as place:
            routes = paths(raw, swarm_ends(world))
            (place / "nginx.conf").write_text(nginx())
            command, binds = ("/usr/sbin/nginx", "-c", "/srv/nginx.conf"), ((place, "/srv"),)
            environment = {"PATH": "/usr/sbin:/usr/bin"}
            servers = [
                Program(f"server-{pid}", command, tree, binds, environment, network=pid)
                for pid in sorted({path.server for path in routes})
            ]
            with running(servers) as started:
                for path in routes:
                    _await(path)
                pids = [pid for server in started.values() for pid in server.pids()]
                parts = dict.fromkeys(pids, PROGRAMS)
                yield [
                    Arm(
                        f"{path.name}, {load}",
                        _load(path, load, seconds),
                        during=lambda: nullcontext(parts),
                    )
                    for path in routes
                    for load in (KEPT, NEW)
                ]

    return stage


def _load(path: NetworkPath, load: str, seconds: int) -> Load:
    headers = ("Connection: close",) if load == NEW else ()
    url, inside = f"http://{path.address}:{PORT}/", _inside(path.client)
    return by_wrk(url, 1, seconds, prefix=inside, headers=headers)


def paths(raw: Sequence[PathEnd], swarm: Sequence[PathEnd]) -> tuple[NetworkPath, ...]:
    """Lay the paths: of three ends each, two on one host and the last on the other; pure."""
    first, near, far = raw
    own, beside, across = swarm
    return (
        NetworkPath(LOOPBACK, first.pid, first.pid, IPv4Address("127.0.0.1")),
        NetworkPath(BRIDGE, first.pid, near.pid, near.address),
        NetworkPath(SAME, own.pid, beside.pid, beside.address),
        NetworkPath(RAW, first.pid, far.pid, far.address),
        NetworkPath(SWARM, own.pid, across.pid, across.address),
    )


def swarm_ends(world: SwarmWorld) -> tuple[PathEnd, PathEnd, PathEnd]:
    """Find three tasks of one network: two on the first host, one on the second.

    Raises: CannotTell when Swarm has placed none so.
    """
    tasks = [task for task in world.facts().tasks if task.state == "running"]
    first, second = world.nodes[:2]
    for segment in world.plan.segments:
        near, far = (
            [
                (node, task, address)
                for task in tasks
                if task.node == node.name
                for address in map(IPv4Address, task.addresses)
                if address in segment.docker_subnet
            ]
            for node in (first, second)
        )
        if len(near) > 1 and far:
            ends = []
            for node, task, address in (*near[:2], far[0]):
                with client_of(node) as client:
                    state = client.containers.get(task.container).attrs["State"]
                ends.append(PathEnd(int(state["Pid"]), address, node.name))
            return ends[0], ends[1], ends[2]
    cause = f"no network has two on {first.name} and one on {second.name}"
    raise CannotTell("Swarm's tasks", "are not placed as needed", cause, 'run "invoke swarm.up"')


def nginx() -> str:
    """Write the server's configuration: one fixed answer to all requests; pure."""
    body = "x" * ANSWER_BYTES
    return nginx_conf(f"    server {{ listen {PORT}; location / {{ return 200 '{body}'; }} }}")


def _inside(pid: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{pid}/ns/net")


def _await(path: NetworkPath) -> None:
    """Wait until a path's server answers. Raises: StepFailed with curl's message."""
    words = "curl -sS -o /dev/null --max-time 10 --retry 20 --retry-delay 1 --retry-connrefused"
    process.run([*_inside(path.client), *words.split(), f"http://{path.address}:{PORT}/"])
