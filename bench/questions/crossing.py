"""What does it cost to cross to another host? Loopback, a bridge, raw VXLAN and Swarm's overlay.

One server (nginx, 1 KB answers) and one client (wrk, one connection) are put at the ends of each
path, between the same two hosts, by entering the networks that are there: a Swarm task's, and one
on a VXLAN made beside it. So only the path differs. Each round asks every path, in random order,
with a kept connection and with one for each request; a ratio is of one round's two times.

The hosts are simulated: their underlay is a bridge and two veth pairs, so a wire's own time is
not in any figure.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from bench.engine import meter
from bench.engine.design import schedule
from bench.engine.estimate import Ratio, ratio, spread
from bench.load import wrk
from bench.load.programs import Program, Running, running, workspace
from bench.questions.crossing_lab import End, raw_ends
from twinstack.errors import CannotTell
from twinstack.linux.process import run
from twinstack.reconcile import Progress
from twinstack.swarm.client import client_of
from twinstack.swarm.world import SwarmWorld

LOOPBACK, BRIDGE, SAME = "loopback", "same host, bridge", "same host, Swarm"
RAW, SWARM = "two hosts, raw VXLAN", "two hosts, Swarm"
PATHS = (LOOPBACK, BRIDGE, SAME, RAW, SWARM)
KEPT, NEW = "kept", "new"
#: What is held against what, and what that tells.
RUNGS = (
    (BRIDGE, LOOPBACK, "A bridge and two veth pairs over loopback"),
    (RAW, BRIDGE, "Raw VXLAN to another host over a bridge on one"),
    (SAME, BRIDGE, "Swarm over a bridge, on one host"),
    (SWARM, RAW, "Swarm's overlay over raw VXLAN, to another host"),
)
PORT = 18080
ANSWER_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Way:
    """One way from a client to a server. `client` is the pid whose network it asks from."""

    name: str
    client: int
    server: int
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class CrossingSample:
    """One trial. Units: µs for a request; µs of CPU of client and server for a request.

    What the kernel does between two namespaces is done by whoever sends: it is in their CPU time,
    which other load on the machine hardly changes.
    """

    round: int
    path: str
    load: str
    complete: int
    failed: int
    us: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Rung:
    """One path held against another: ratios of times and of CPU, by kind of load."""

    what: str
    times: Mapping[str, Ratio]
    cpu: Mapping[str, Ratio]

    @property
    def sentence(self) -> str:
        """Say it, each with its interval."""
        said = [
            f"{name} connection: time {_percent(self.times[load])}, CPU {_percent(self.cpu[load])}"
            for load, name in ((KEPT, "a kept"), (NEW, "a new"))
        ]
        return f"{self.what}: {'; '.join(said)}."


@dataclass(frozen=True, slots=True)
class Crossing:
    """All of it."""

    samples: tuple[CrossingSample, ...]
    rungs: tuple[Rung, ...]
    seed: int


def measure(
    world: SwarmWorld,
    roots: Path,
    *,
    rounds: int = 12,
    duration_s: int = 1,
    seed: int = 1,
    progress: Progress,
) -> Crossing:
    """Measure on a Swarm that is up; `roots` is nginx's root tree.

    Raises: CannotTell when no two tasks lie as they are needed, or a trial failed; StepFailed.
    """
    instance = world.plan.instance
    two = world.nodes[:2]
    with raw_ends(two, (0, 0, 1), instance) as raw, workspace() as place:
        ways = paths(raw, swarm_ends(world))
        (place / "nginx.conf").write_text(nginx())
        servers = [
            Program(
                f"server-{number}",
                ("/usr/sbin/nginx", "-c", "/srv/nginx.conf"),
                roots,
                ((place, "/srv"),),
                {"PATH": "/usr/sbin:/usr/bin"},
                network=pid,
            )
            for number, pid in enumerate(sorted({way.server for way in ways}))
        ]
        with running(servers) as started:

            def trial(way: Way, load: str, number: int) -> CrossingSample:
                return _trial(way, load, number, duration_s, list(started.values()))

            for way in ways:
                _await(way)
                for load in (KEPT, NEW):
                    trial(way, load, -1)
            samples = list(_rounds(ways, rounds, seed, trial, progress))
    return summarise(samples, seed)


def paths(raw: Sequence[End], swarm: Sequence[End]) -> tuple[Way, ...]:
    """Lay the paths: of three ends each, two on one host and the last on the other; pure."""
    first, near, far = raw
    own, beside, across = swarm
    return (
        Way(LOOPBACK, first.pid, first.pid, IPv4Address("127.0.0.1")),
        Way(BRIDGE, first.pid, near.pid, near.address),
        Way(SAME, own.pid, beside.pid, beside.address),
        Way(RAW, first.pid, far.pid, far.address),
        Way(SWARM, own.pid, across.pid, across.address),
    )


def swarm_ends(world: SwarmWorld) -> tuple[End, End, End]:
    """Find three tasks of one network: two on the first host, one on the second.

    Raises: CannotTell when Swarm has placed none so.
    """
    tasks = [one for one in world.facts().tasks if one.state == "running"]
    first, second = world.nodes[:2]
    for segment in world.plan.segments:
        near, far = (
            [
                (task, address)
                for task in tasks
                if task.node == node.name
                for address in map(IPv4Address, task.addresses)
                if address in segment.docker_subnet
            ]
            for node in (first, second)
        )
        if len(near) > 1 and far:
            chosen = ((first, near[0]), (first, near[1]), (second, far[0]))
            ends = []
            for node, (task, address) in chosen:
                with client_of(node) as client:
                    state = client.containers.get(task.container).attrs["State"]
                ends.append(End(int(state["Pid"]), address, node.name))
            return ends[0], ends[1], ends[2]
    raise CannotTell(
        "Swarm's tasks",
        "do not lie as is needed",
        f"no network has two on {first.name} and one on {second.name}",
        "run: invoke swarm.up",
    )


def _rounds(
    ways: Sequence[Way],
    rounds: int,
    seed: int,
    trial: Callable[[Way, str, int], CrossingSample],
    progress: Progress,
) -> Iterator[CrossingSample]:
    by_name = {way.name: way for way in ways}
    order = schedule(
        (RAW, SWARM), (LOOPBACK, BRIDGE, SAME), rounds=rounds, others_every=1, seed=seed
    )
    for number, names in enumerate(order, start=1):
        told = []
        for name in names:
            for load in (KEPT, NEW):
                sample = trial(by_name[name], load, number)
                told.append(f"{name} {load} {sample.us:.0f} µs")
                yield sample
        progress(f"round {number}/{rounds}: " + ", ".join(told))


def _trial(
    way: Way, load: str, number: int, duration_s: int, servers: Sequence[Running]
) -> CrossingSample:
    before = meter.snapshot().client_us + sum(one.precise_cpu_us() for one in servers)
    said = wrk.run(
        f"http://{way.address}:{PORT}/",
        connections=1,
        duration_s=duration_s,
        prefix=_at(way.client),
        headers=("Connection: close",) if load == NEW else (),
    )
    after = meter.snapshot().client_us + sum(one.precise_cpu_us() for one in servers)
    failed = said.non_2xx + said.lost
    if not said.success or failed:
        raise CannotTell(
            f"{way.name}, {load}",
            "cannot be measured",
            f"{failed} of {said.complete} requests failed",
        )
    return CrossingSample(
        number,
        way.name,
        load,
        said.complete,
        failed,
        said.seconds * 1e6 / said.success,
        (after - before) / said.success,
    )


def summarise(samples: Sequence[CrossingSample], seed: int) -> Crossing:
    """Turn samples into rungs; pure."""

    def of(path: str, load: str) -> list[CrossingSample]:
        own = [one for one in samples if (one.path, one.load) == (path, load)]
        return sorted(own, key=lambda one: one.round)

    rungs = tuple(
        Rung(
            what,
            {
                load: ratio(
                    [one.us for one in of(more, load)],
                    [one.us for one in of(less, load)],
                    seed=seed,
                )
                for load in (KEPT, NEW)
            },
            {
                load: ratio(
                    [one.cpu_us for one in of(more, load)],
                    [one.cpu_us for one in of(less, load)],
                    seed=seed,
                )
                for load in (KEPT, NEW)
            },
        )
        for more, less, what in RUNGS
    )
    return Crossing(tuple(samples), rungs, seed)


def table(found: Crossing) -> str:
    """Draw the result, at most 80 columns wide."""
    kept = f"{'kept':>7}{'(min–max)':>13}{'CPU':>6}"
    lines = [f"{'µs a request':<22}{kept}{'new':>8}{'(min–max)':>14}{'CPU':>7}"]
    for path in PATHS:
        cells = [f"{path:<22}"]
        for load, widths in ((KEPT, (7, 13, 6)), (NEW, (8, 14, 7))):
            own = [one for one in found.samples if (one.path, one.load) == (path, load)]
            times = spread([one.us for one in own])
            cpu = spread([one.cpu_us for one in own]).median
            span = f"({times.minimum:.0f}–{times.maximum:.0f})"
            cells.append(f"{times.median:>{widths[0]}.1f}{span:>{widths[1]}}{cpu:>{widths[2]}.0f}")
        lines.append("".join(cells))
    said = [textwrap.fill(rung.sentence, 80) for rung in found.rungs]
    return "\n".join([*lines, *said])


def nginx() -> str:
    """Write the server: a fixed answer, whoever asks."""
    spools = "".join(
        f" {kind}_temp_path /tmp/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        "daemon off; worker_processes 1; pid /tmp/nginx.pid; error_log stderr warn;\n"
        "events { worker_connections 256; }\n"
        f"http {{{spools} access_log off; keepalive_requests 100000000;\n"
        f"server {{ listen {PORT}; location / {{ return 200 '{'x' * ANSWER_BYTES}'; }} }} }}\n"
    )


def _at(pid: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{pid}/ns/net")


def _await(way: Way) -> None:
    """Wait until a path's server answers. Raises: StepFailed with what curl said."""
    run(
        [
            *_at(way.client),
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "--max-time",
            "10",
            "--retry",
            "20",
            "--retry-delay",
            "1",
            "--retry-connrefused",
            f"http://{way.address}:{PORT}/",
        ]
    )


def _percent(found: Ratio) -> str:
    if found.verdict == "no measurable difference":
        return f"no measurable difference ({found.low - 1:+.1%} to {found.high - 1:+.1%})"
    return f"{found.estimate - 1:+.1%} ({found.low - 1:+.1%} to {found.high - 1:+.1%})"
