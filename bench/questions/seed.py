"""Where does the seed's "2x" come from? Its own conditions, and each of them taken away.

The seed compared namespaces in three routed tiers, entered at the bridge's address, with Docker in
one flat network, at half a core for each service, entered through 127.0.0.1 and docker-proxy. Both
ran development servers, and `ab` opened a connection for each request. Here Docker is measured in
every combination of the four causes that can be taken away; namespaces, which had no quota and no
proxy, with the same servers and connections. What each cause is worth is its Shapley value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from statistics import fmean

from bench.engine import result, worlds
from bench.engine.arm import PROGRAMS, RATE, Arm, Contrast, Window
from bench.engine.loads import await_room, by_wrk
from bench.engine.measured import levelled
from bench.engine.question import Design, Experiment, Measured, Outcome, outcome_of, run
from bench.engine.show import wrap
from bench.load import Tally
from bench.questions.causes import by_proxy, group_of, place_in
from bench.questions.chains import naive_chain
from bench.questions.shapley import NONE, Cell, Look, cells, draw, shared
from twinstack.linux import cgroup_removal
from twinstack.linux.cgroup import set_cpus
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.statistics.estimate import grouped
from twinstack.world import LocalWorld

SERVERS, QUOTA = "development servers", "half a core each"
ENTRY, CONNECTIONS = "docker-proxy", "a connection each"
CAUSES = (SERVERS, QUOTA, ENTRY, CONNECTIONS)
_LETTERS = dict(zip(CAUSES, "sqpc", strict=True))
#: Namespaces can have these too: they are no difference by themselves, but change the others'.
_SHARED = frozenset({SERVERS, CONNECTIONS})
CORES = 0.5
_AT_ONCE, _PATH = 50, "/api/products"
#: So many connections may be opened in a window, and must find room in the kernel's tables.
_OPENED = 5_000
TIERS = (
    "Not taken away, as in the seed: namespaces are in three tiers that the host routes between, "
    "Docker is in one flat network. What is left contains that, and Docker itself."
)


def ask(stack: Stack, *, how: Design, progress: Progress) -> Outcome:
    """Measure every cell, and share the gap out; both worlds are left as they were.

    Raises: Missing without docker-proxy; NotHealthy; CannotTell; StepFailed.
    """
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
    """Give the factors, the way, and the verdict on what is left."""
    said, more = [result.opening(measured)], dict[str, object]()
    if measured.undecidable:
        said.append(f"No verdict: {measured.undecidable}.")
    else:
        shares, verdict = shared(CAUSES, list(looks(measured.windows))), measured.verdict.sentence
        left = f"Without them, namespaces over Docker, requests per second: {verdict}."
        said += [draw(shares), wrap(left, "", TIERS)]
        more["shares"] = {name: asdict(of) for name, of in shares.items()}
        more["said"] = "\n\n".join(said).splitlines()
    return replace(outcome_of(measured, "seed", net.plan, more=more), text="\n\n".join(said))


def looks(windows: Sequence[Window]) -> Iterator[Look]:
    """Give the gap in every cell, block by block, at one speed of the machine; pure."""
    rate = levelled(windows, RATE.of, ratios=True)
    every = {name("docker", cell) for cell in cells(CAUSES)}
    for block in grouped(windows, lambda window: window.block).values():
        arms = grouped(block, lambda window: window.arm)
        if arms.keys() >= every | {name("net", cell) for cell in cells(sorted(_SHARED))}:
            logs = {of: math.log(fmean(map(rate, own))) for of, own in arms.items()}
            gaps = {
                cell: logs[name("net", cell & _SHARED)] - logs[name("docker", cell)]
                for cell in cells(CAUSES)
            }
            yield block[0].deployment, gaps


def name(world: str, cell: Cell) -> str:
    """Name an arm by letters of its causes: "docker sq-c"; pure."""
    letters = (letter if cause in cell else "-" for cause, letter in _LETTERS.items())
    return f"{world} {''.join(letters)}"


def _experiment(
    stack: Stack, used: tuple[LocalWorld, LocalWorld], how: Design, progress: Progress
) -> Experiment:
    seconds = how.run_s

    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        worlds.restart(used, progress)
        with ExitStack() as held:
            arms = [held.enter_context(_arms(stack, world, seconds, progress)) for world in used]
            yield [arm for own in arms for arm in own]

    return Experiment(
        stage=stage,
        contrasts=(Contrast(name("net", NONE), name("docker", NONE)),),
        load=f"{_AT_ONCE} at once (wrk), {_PATH}, {2 ** len(CAUSES)} combinations",
        worlds=used,
        quantities=(RATE,),
    )


@contextmanager
def _arms(
    stack: Stack, world: LocalWorld, seconds: float, progress: Progress
) -> Iterator[list[Arm]]:
    """Run the seed's servers in a world, and what else its cells need; gives their arms."""
    roots, software = stack.software(progress)
    password, docker = place_in(world).redis_password, world.name == "docker"
    with ExitStack() as held:
        naive = held.enter_context(naive_chain(world, roots, software, password))
        parts = dict.fromkeys(naive.pids(), PROGRAMS)
        groups = [group_of(world, replica.name) for replica in world.plan.replicas]
        for program in naive.programs:
            own = cgroup_removal.held(program.pids(), f"twinstack-bench/{program.pid}")
            groups.append(held.enter_context(own))
        entries = {True: naive.edge, False: world.endpoint(worlds.EDGE)}
        proxies = {
            seed: held.enter_context(by_proxy(edge)) for seed, edge in entries.items() if docker
        }

        def arm(cell: Cell) -> Arm:
            endpoint = (proxies if ENTRY in cell else entries)[SERVERS in cell]
            headers = ("Connection: close",) if CONNECTIONS in cell else ()
            send = by_wrk(endpoint.url(_PATH), _AT_ONCE, seconds, headers=headers)

            def load() -> Tally:
                await_room(endpoint, _OPENED if CONNECTIONS in cell else 0)
                return send()

            @contextmanager
            def during() -> Iterator[Mapping[int, str]]:
                limited = groups if QUOTA in cell else []
                try:
                    for group in limited:
                        set_cpus(group, CORES)
                    yield parts
                finally:
                    for group in limited:
                        set_cpus(group, None)

            return Arm(name(world.name, cell), load, world.name, during)

        yield [arm(cell) for cell in cells(CAUSES if docker else sorted(_SHARED))]
