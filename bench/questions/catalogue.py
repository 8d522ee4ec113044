"""The questions beside the comparison: each chooses its worlds, asks, and leaves them as they were.

`comparison` brings up what is not up and leaves it so, and so does `layers`; `chain` and
`startup` change worlds, and bring them back to their former shape, limits and down-ness.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.engine import comparability, report, worlds
from bench.engine.design import require_load, require_rounds
from bench.engine.report import Comparison
from bench.engine.trials import Load
from bench.questions import chain, crossing, gateways, layers, policy, startup
from bench.questions import compare as run
from bench.questions.compare import Options
from twinstack.errors import CannotTell, TwinstackError
from twinstack.model import bounds
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.reconcile import Progress
from twinstack.stack import Stack

_CLIENTS = 50
DOCKER_IS_UP = (
    "the Docker world is up: its probes take CPU; take it down for the cleanest figure "
    "(invoke docker.down)"
)
PAST_THE_EDGE = textwrap.fill(
    "Policies were lifted meanwhile, in every world alike: this asks services past their edge. "
    "They are enforced again.",
    report.WIDTH,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question found: under which name it is kept, of which plan, and in words.

    `not_alike` names what was forced although it makes a ratio a lie.
    """

    name: str
    plan: Plan
    found: object
    text: str
    not_alike: tuple[str, ...] = ()


def keep(answer: Answer) -> tuple[dict[str, object], str]:
    """Keep an answer under bench/results/; gives the JSON document and the page's path."""
    return run.keep(
        answer.name, datetime.now(UTC), answer.plan, answer.found, answer.text, answer.not_alike
    )


def ask_comparison(
    stack: Stack, options: Options, *, aa: str = "", shape: str | None = None, progress: Progress
) -> Comparison:
    """Compare both worlds, or one with itself (`aa`). Raises: as `run.compare`."""
    options.check()
    if aa not in {"", *worlds.NAMES}:
        raise TwinstackError("--aa", f"cannot be {aa}", "a world is net or docker", "choose one")
    if aa:
        name: WorldName = "net" if aa == "net" else "docker"
        world = worlds.ready(stack, name, shape, progress)
        with worlds.lifted([world]):
            return run.calibrate(world, options, progress)
    shape = worlds.common_shape(stack, shape)
    net, docker = (worlds.ready(stack, name, shape, progress) for name in worlds.NAMES)
    with worlds.lifted([net, docker]):
        return run.compare(net, docker, options, progress)


def ask_gateways(stack: Stack, *, rounds: int, progress: Progress) -> Answer:
    """Compare the gateway alone with Node's http and nginx. Raises: as `gateways.measure`."""
    require_rounds(rounds)
    roots, software = stack.software(progress)
    plan = stack.plan()
    found = gateways.measure(plan, roots, software, rounds=rounds, progress=progress)
    return Answer("gateways", plan, found, gateways.table(found))


def ask_chain(stack: Stack, *, rounds: int, progress: Progress) -> Answer:
    """Measure the chain without limits; the world is left as it was. Raises: as `chain.measure`."""
    require_rounds(rounds)
    disturbed = stack.docker_shape() is not None
    if disturbed:
        progress(DOCKER_IS_UP)
    with worlds.left_as_it_was(stack, "net", progress) as was:
        world = stack.net(was.shape, limited=False)
        world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
        roots, software = stack.software(progress)
        password = stack.redis_password()
        with worlds.lifted([world], whole=True):
            found = chain.measure(
                world, roots, software, password, rounds=rounds, progress=progress
            )
    text = f"{chain.table(found)}\n{PAST_THE_EDGE}"
    if disturbed:
        text += "\n" + textwrap.fill(
            "The Docker world was up meanwhile: its health probes took CPU from all three. "
            "Taken down, it leaves the cleanest figure.",
            report.WIDTH,
        )
    return Answer("chain", world.plan, found, text)


def ask_startup(stack: Stack, *, times: int, progress: Progress) -> Answer:
    """Time both worlds as they run now, and leave them so. Raises: as `startup.measure`."""
    bounds.times(times)
    with worlds.left_as_it_was(stack, "net", progress):
        net = stack.net()
        found = [startup.measure(net, times=times, supervising=net.supervising, progress=progress)]
    with worlds.left_as_it_was(stack, "docker", progress):
        docker = worlds.as_it_runs(stack, "docker")
        found.append(startup.measure(docker, times=times, progress=progress))
    text = startup.table(found)
    if net.plan.shape != docker.plan.shape:
        text += f"\nTheir shapes differ: net {net.plan.shape}, docker {docker.plan.shape}."
    return Answer("startup", net.plan, found, text)


def ask_policy(
    stack: Stack, *, world: str, rounds: int, shape: str | None = None, progress: Progress
) -> Answer:
    """Measure a world with its policy on and off. Raises: as `policy_cost.measure`."""
    require_rounds(rounds)
    name = worlds.named(world)
    chosen = worlds.ready(stack, name, shape, progress)
    if not chosen.plan.policy:
        raise CannotTell(
            f"the {name} world",
            "cannot be compared",
            "it was brought up with --no-policy",
            f'run "invoke {name}.up"',
        )
    found = policy.measure(chosen, rounds=rounds, progress=progress)
    return Answer(f"policy-{name}", chosen.plan, found, policy.table(found))


def ask_crossing(stack: Stack, *, rounds: int, progress: Progress) -> Answer:
    """Compare the ways to another host on a Swarm, and leave it as it was. Raises: as `measure`."""
    require_rounds(rounds)
    roots, _ = stack.software(progress)
    world = stack.swarm()
    up = bool(world.facts().tasks)
    try:
        world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
        found = crossing.measure(world, roots.tree("nginx"), rounds=rounds, progress=progress)
    finally:
        if not up:
            world.down(progress=progress)
    return Answer("crossing", world.plan, found, crossing.table(found))


def ask_layers(
    stack: Stack, *, rounds: int, requests: int, force: bool = False, progress: Progress
) -> Answer:
    """Say which layer costs what, on two worlds alike. Raises: as `layers.climb`, `likeness`."""
    require_rounds(rounds)
    require_load(requests, _CLIENTS)
    shape = worlds.common_shape(stack, None)
    net, docker = (worlds.ready(stack, name, shape, progress) for name in worlds.NAMES)
    load = Load("/api/products", requests, _CLIENTS, False, timeout_s=max(120.0, requests / 10))
    with worlds.lifted([net, docker], whole=True):
        alike = comparability.look(
            net, docker, worlds.EDGE, load.path, force=force, progress=progress
        )
        found = layers.climb(net, docker, load, rounds=rounds, progress=progress)
    text = f"{layers.text(found)}\n{PAST_THE_EDGE}"
    if alike.misleading:
        text += "\n" + report.differences(alike, "misleads")
    return Answer("layers", net.plan, found, text, alike.sentences("misleads"))
