"""What does it cost to reach another host? Loopback, a bridge, raw VXLAN and Swarm's overlay.

One server (nginx, 1 KB answers) and one client (wrk, one connection) are put at the ends of each
path, between the same two hosts, by entering the networks that exist: a Swarm task's, and one
on a VXLAN made beside it. So only the path differs. Each round loads every path, in random order,
with a kept connection and with a new one for each request; a ratio is of one round's two times.

The hosts are simulated: their underlay is a bridge and two veth pairs, so a wire's own time is
not in any figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from bench.engine import design, meter
from bench.engine.estimate import Ratio, grouped, median, paired, spread
from bench.engine.show import columns, extremes, wrap
from bench.engine.store import Outcome
from bench.load import wrk
from bench.load.programs import Program, Running, nginx_conf, running, workspace
from bench.questions.crossing_lab import PathEnd, raw_ends
from twinstack.errors import CannotTell
from twinstack.linux.process import run
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.swarm.client import client_of
from twinstack.swarm.world import SwarmWorld

LOOPBACK, BRIDGE, SAME = "loopback", "same host, bridge", "same host, Swarm"
RAW, SWARM = "two hosts, raw VXLAN", "two hosts, Swarm"
PATHS = (LOOPBACK, BRIDGE, SAME, RAW, SWARM)
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
_SECONDS, _SEED = 1, 1


@dataclass(frozen=True, slots=True)
class NetworkPath:
    """One path from a client to a server, by the pids of the networks that they are in."""

    name: str
    client: int
    server: int
    address: IPv4Address  # the server's


@dataclass(frozen=True, slots=True)
class CrossingSample:
    """One trial. Units: microseconds a request.

    What the kernel does between two namespaces is done by the sender: it is in their CPU time,
    which other load on the machine hardly changes.
    """

    round: int
    path: str
    load: str
    complete: int
    failed: int
    us: float
    cpu_us: float  # of client and server


@dataclass(frozen=True, slots=True)
class PathCost:
    """One path compared with another, by kind of load."""

    what: str
    times: Mapping[str, Ratio]
    cpu: Mapping[str, Ratio]

    @property
    def sentence(self) -> str:
        """Say it, each with its interval."""
        kept, new = (
            f"connection: time {_percent(self.times[load])}, CPU {_percent(self.cpu[load])}"
            for load in (KEPT, NEW)
        )
        return f"{self.what}: a kept {kept}; a new {new}."


@dataclass(frozen=True, slots=True)
class Crossing:
    """All of it."""

    samples: tuple[CrossingSample, ...]
    rungs: tuple[PathCost, ...]
    seed: int


def ask(stack: Stack, *, rounds: int, progress: Progress) -> Outcome:
    """Compare the paths on a Swarm, and leave it as it was. Raises: as `measure`."""
    design.require_rounds(rounds)
    roots, _ = stack.software(progress)
    world = stack.swarm()
    was_up = bool(world.facts().tasks)
    try:
        world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
        crossing = measure(world, roots.tree("nginx"), rounds=rounds, progress=progress)
    finally:
        if not was_up:
            world.down(progress=progress)
    return Outcome("crossing", world.plan, crossing, table(crossing))


def measure(world: SwarmWorld, tree: Path, *, rounds: int, progress: Progress) -> Crossing:
    """Measure on a Swarm that is up; `tree` is nginx's root.

    Raises: CannotTell when no two tasks are placed as needed, or a trial failed; StepFailed.
    """
    with raw_ends(world.nodes[:2], (0, 0, 1), world.plan.instance) as raw, workspace() as place:
        routes = paths(raw, swarm_ends(world))
        (place / "nginx.conf").write_text(nginx())
        command, binds = ("/usr/sbin/nginx", "-c", "/srv/nginx.conf"), ((place, "/srv"),)
        environment = {"PATH": "/usr/sbin:/usr/bin"}
        servers = [
            Program(f"server-{pid}", command, tree, binds, environment, network=pid)
            for pid in sorted({path.server for path in routes})
        ]
        arms = {f"{path.name}, {load}": (path, load) for path in routes for load in (KEPT, NEW)}
        with running(servers) as started:
            for path in routes:
                _await(path)

            def trial(arm: str, number: int) -> CrossingSample:
                return _trial(*arms[arm], number, list(started.values()))

            samples = design.interleave(
                tuple(arms), trial, rounds, _SEED, progress, figure="us", unit=" µs"
            )
    return summarise(samples, _SEED)


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


def _trial(path: NetworkPath, load: str, number: int, servers: Sequence[Running]) -> CrossingSample:
    url, inside = f"http://{path.address}:{PORT}/", _inside(path.client)
    headers = ("Connection: close",) if load == NEW else ()
    before_us = sum(server.cpu_us() for server in servers)
    report, spent = meter.during(
        [], lambda: wrk.run(url, connections=1, duration_s=_SECONDS, prefix=inside, headers=headers)
    )
    cpu_us = spent.client_us + sum(server.cpu_us() for server in servers) - before_us
    if not report.success or report.failed:
        cause = f"{report.failed} of {report.complete} requests failed"
        raise CannotTell(f"{path.name}, {load}", "cannot be measured", cause)
    us = (report.seconds * 1e6 / report.success, cpu_us / report.success)
    return CrossingSample(number, path.name, load, report.complete, report.failed, *us)


def summarise(samples: Sequence[CrossingSample], seed: int) -> Crossing:
    """Turn samples into costs; pure."""
    arms = grouped(samples, lambda sample: (sample.path, sample.load))

    def over(more: str, less: str, quantity: str) -> dict[str, Ratio]:
        return {
            load: paired(arms[more, load], arms[less, load], quantity, seed=seed)
            for load in (KEPT, NEW)
        }

    costs = tuple(
        PathCost(what, over(more, less, "us"), over(more, less, "cpu_us"))
        for more, less, what in CONTRASTS
    )
    return Crossing(tuple(samples), costs, seed)


def table(crossing: Crossing) -> str:
    """Draw the result."""
    arms = grouped(crossing.samples, lambda sample: (sample.path, sample.load))
    rows = []
    for path in PATHS:
        cells = [path]
        for load in (KEPT, NEW):
            times = spread([sample.us for sample in arms[path, load]])
            cpu_us = median(arms[path, load], "cpu_us")
            cells += [f"{times.median:.1f}", extremes(times), f"{cpu_us:.0f}"]
        rows.append(cells)
    head = ["µs a request", "kept", "(min–max)", "CPU", "new", "(min–max)", "CPU"]
    return f"{columns(head, rows)}\n{wrap(*(cost.sentence for cost in crossing.rungs))}"


def nginx() -> str:
    """Write the server's configuration: one fixed answer to all requests; pure."""
    body = "x" * ANSWER_BYTES
    return nginx_conf(f"    server {{ listen {PORT}; location / {{ return 200 '{body}'; }} }}")


def _inside(pid: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{pid}/ns/net")


def _await(path: NetworkPath) -> None:
    """Wait until a path's server answers. Raises: StepFailed with curl's message."""
    words = "curl -sS -o /dev/null --max-time 10 --retry 20 --retry-delay 1 --retry-connrefused"
    run([*_inside(path.client), *words.split(), f"http://{path.address}:{PORT}/"])


def _percent(ratio: Ratio) -> str:
    if ratio.undecided:
        return f"no measurable difference ({ratio.low - 1:+.1%} to {ratio.high - 1:+.1%})"
    return ratio.percent
