"""Where does the seed's "2x" come from? Its own conditions, and each of them taken away.

The seed compared namespaces in three routed tiers, entered at the bridge's address, with Docker in
one flat network, at half a core for each service, entered through 127.0.0.1 and docker-proxy. Both
ran development servers, and `ab` opened a connection for each request. Here Docker is measured in
every combination of the four causes that can be taken away; namespaces, which had no quota and no
proxy, with the same servers and connections. What each cause is worth is its Shapley value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.engine import result, worlds
from bench.engine.arm import CPU, PROGRAMS, RATE, Arm, Contrast, Window
from bench.engine.design import Design
from bench.engine.estimate import grouped
from bench.engine.experiment import Experiment, run
from bench.engine.loads import await_room, by_wrk
from bench.engine.result import Measured
from bench.engine.show import wrap
from bench.engine.store import Outcome
from bench.load import Tally
from bench.load.programs import Running
from bench.questions.causes import by_proxy, cpu_quota, place_in, set_cpus
from bench.questions.naive import naive_chain
from bench.questions.shapley import NONE, Cell, Look, Shared, cells, draw
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import Endpoint, LocalWorld

SERVERS, QUOTA = "development servers", "half a core each"
ENTRY, CONNECTIONS = "docker-proxy", "a connection each"
CAUSES = (SERVERS, QUOTA, ENTRY, CONNECTIONS)
_LETTERS = dict(zip(CAUSES, "sqpc", strict=True))
#: Namespaces can have these too: they are no difference by themselves, but change the others'.
_SHARED = frozenset({SERVERS, CONNECTIONS})
CORES = 0.5
_AT_ONCE, _PATH = 50, "/api/products"
#: So many connections may be opened in a window, and must find room in the kernel's tables.
_OPENED = 10_000
TIERS = (
    "Not taken away, as in the seed: namespaces are in three tiers that the host routes between, "
    "Docker is in one flat network. What is left contains that, and Docker itself."
)


@dataclass(frozen=True, slots=True)
class Side:
    """One world while it is measured."""

    world: LocalWorld
    entries: Mapping[tuple[bool, bool], Endpoint]  # by development servers, by docker-proxy
    programs: tuple[Running, ...]  # the development servers


def ask(stack: Stack, *, how: Design, progress: Progress) -> Outcome:
    """Measure every cell, and share the gap out; both worlds are left as they were.

    Raises: Missing without docker-proxy; NotHealthy; CannotTell; StepFailed.
    """
    how.check()
    left_as_it_was = worlds.left_as_it_was
    with left_as_it_was(stack, "net", progress), left_as_it_was(stack, "docker", progress):
        used = stack.net("tiered", limited=False), stack.docker("flat", limited=False)
        for world in used:
            world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
        with worlds.lifted(used, policy=True):
            how = replace(how, blocks=1, least=3)
            measured = run(_experiment(stack, used, how, progress), how, progress)
    return outcome(measured, used[0])


def outcome(measured: Measured, net: LocalWorld) -> Outcome:
    """Give the answer, and what it was made of."""
    asked = measured.outcome("seed", net.plan)
    opening = result.opening(measured)
    if measured.undecidable:
        return replace(asked, text=f"{opening}\n\nNo verdict: {measured.undecidable}.")
    shared = Shared.of(CAUSES, looks(measured.windows))
    shares = {"whole": shared.whole, **shared.parts, "left": shared.left}
    text = f"{opening}\n\n{said(shared, measured)}"
    parts = {name: asdict(of) for name, of in shares.items()}
    fields = {**asked.fields, "shares": parts, "said": text.splitlines()}
    return replace(asked, text=text, fields=fields)


def said(shared: Shared, measured: Measured) -> str:
    """Write the factors, the way, and the verdict on what is left; pure."""
    verdict = measured.verdict.sentence
    left = f"Without them, namespaces over Docker, requests per second: {verdict}."
    parts = [draw(shared, "as the seed ran", "causes away"), wrap(left), wrap(TIERS)]
    return "\n\n".join(parts)


def looks(windows: Sequence[Window]) -> Iterator[Look]:
    """Give the gap in every cell, block by block; pure."""
    for number, block in grouped(windows, lambda window: window.block).items():
        arms = grouped(block, lambda window: window.arm)
        if arms.keys() >= {name("docker", cell) for cell in cells(CAUSES)}:
            logs = {of: math.log(sum(w.rate for w in own) / len(own)) for of, own in arms.items()}
            gaps = {
                cell: logs[name("net", cell & _SHARED)] - logs[name("docker", cell)]
                for cell in cells(CAUSES)
            }
            yield Look(block[0].deployment or number, gaps)


def name(world: str, cell: Cell) -> str:
    """Name an arm by letters of its causes: "docker sq-c"; pure."""
    letters = (letter if cause in cell else "-" for cause, letter in _LETTERS.items())
    return f"{world} {''.join(letters)}"


def _experiment(
    stack: Stack, used: tuple[LocalWorld, LocalWorld], how: Design, progress: Progress
) -> Experiment:
    seconds = max(1, round(how.seconds))

    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        worlds.restart(used, progress)
        with ExitStack() as held:
            net, docker = (held.enter_context(_side(stack, world, progress)) for world in used)
            quotas = [held.enter_context(cpu_quota(each.pids())) for each in docker.programs]
            yield [
                *(_arm(net, cell, seconds, lambda _: None) for cell in cells(sorted(_SHARED))),
                *(_arm(docker, cell, seconds, _limiter(docker, quotas)) for cell in cells(CAUSES)),
            ]

    everything = frozenset(CAUSES)
    return Experiment(
        stage=stage,
        contrasts=(
            Contrast(name("net", NONE), name("docker", NONE)),
            Contrast(name("net", _SHARED), name("docker", everything)),
        ),
        load=f"{_AT_ONCE} at once (wrk), {_PATH}, {2 ** len(CAUSES)} combinations",
        worlds=used,
        quantities=(RATE, CPU),
    )


@contextmanager
def _side(stack: Stack, world: LocalWorld, progress: Progress) -> Iterator[Side]:
    """Run the seed's servers in a world, and a proxy before each of its edges."""
    roots, software = stack.software(progress)
    password = place_in(stack, world).redis_password
    with naive_chain(world, roots, software, password) as naive, ExitStack() as proxies:
        edges = {True: naive.edge, False: world.endpoint(worlds.EDGE)}
        entries = {(seed, False): edge for seed, edge in edges.items()}
        if world.name == "docker":
            for seed, edge in edges.items():
                entries[seed, True] = proxies.enter_context(by_proxy(edge))
        yield Side(world, entries, naive.programs)


def _limiter(
    side: Side, quotas: Sequence[Callable[[float | None], None]]
) -> Callable[[float | None], None]:
    """Give what sets the quota of each service and development server of a world."""

    def limit(cpus: float | None) -> None:
        for quota in quotas:
            quota(cpus)
        for replica in side.world.plan.replicas:
            set_cpus(side.world, replica.name, cpus)

    return limit


def _arm(side: Side, cell: Cell, seconds: int, limit: Callable[[float | None], None]) -> Arm:
    endpoint = side.entries[SERVERS in cell, ENTRY in cell]
    headers = ("Connection: close",) if CONNECTIONS in cell else ()
    send = by_wrk(endpoint.url(_PATH), _AT_ONCE, seconds, headers=headers)
    parts = {pid: PROGRAMS for program in side.programs for pid in program.pids()}

    def load() -> Tally:
        if CONNECTIONS in cell:
            await_room(endpoint, _OPENED)
        return send()

    @contextmanager
    def during() -> Iterator[Mapping[int, str]]:
        limit(CORES if QUOTA in cell else None)
        try:
            yield parts
        finally:
            limit(None)

    held: Callable[[], AbstractContextManager[Mapping[int, str]]] = during
    return Arm(name(side.world.name, cell), load, side.world.name, held)


def figure(document: Mapping[str, Any]) -> str:
    """Give what docs/seed.md shows of a kept result, between its marks SEED; pure."""
    lines = [str(line) for line in document["said"]]
    return "\n".join(["```", *lines, "```"])
