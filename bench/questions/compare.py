"""Which world answers more, and for how much CPU time? The comparison of two worlds under `ab`.

Both are entered at the edge's own address in every round; their published ports in some.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench.engine import comparability, comparison, meter, published_ports, trials, worlds
from bench.engine.comparability import Comparability
from bench.engine.design import require_load, require_rounds
from bench.engine.store import Outcome
from bench.engine.trials import Target
from bench.engine.worlds import EDGE
from bench.load.ab import AbLoad
from bench.questions import compare_report
from bench.questions.compare_report import Comparison
from twinstack.errors import TwinstackError
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

#: What a world is called in results.
TITLES = {"net": "namespaces", "docker": "docker"}
PUBLISHED_SERVICES = (EDGE, "api-gateway")
CONTRASTS = ("rate", "cpu", "work", "host")


@dataclass(frozen=True, slots=True)
class Options:
    """How to compare. The defaults are those of the seed's table, ten times over."""

    load: AbLoad = field(default_factory=AbLoad)
    rounds: int = 10
    warmups: int = 1
    published_every: int = 3  # rounds until the published ports are measured too; 0: never
    rest_s: float = 4.0  # how long both are watched at rest
    seed: int | None = None  # None: draw one
    force: bool = False  # measure worlds that are not alike

    def check(self) -> None:
        """Refuse what cannot be measured. Raises: TwinstackError."""
        require_load(self.load)
        require_rounds(self.rounds)


def ask(
    stack: Stack, *, options: Options, aa: str = "", shape: str | None = None, progress: Progress
) -> Outcome:
    """Compare both worlds, or one with itself (`aa`). Raises: as `compare`."""
    options.check()
    if aa not in {"", *worlds.NAMES}:
        raise TwinstackError("--aa", f"cannot be {aa}", "a world is net or docker", "choose one")
    if aa:
        world = worlds.ready(stack, worlds.named(aa), shape, progress)
        with worlds.lifted([world]):
            return calibrate(world, options, progress)
    net, docker = worlds.both(stack, shape, progress)
    with worlds.lifted([net, docker]):
        return compare(net, docker, options, progress)


def compare(net: LocalWorld, docker: LocalWorld, options: Options, progress: Progress) -> Outcome:
    """Compare the two worlds.

    Raises: Missing when one is not up; TwinstackError when they are not alike (unless forced);
    CannotTell when a trial cannot be trusted.
    """
    options.check()
    both = (net, docker)
    alike = comparability.require(
        both, EDGE, options.load.path, force=options.force, progress=progress
    )
    pair = [Target(TITLES[world.name], world, world.endpoint(EDGE)) for world in both]
    others: Sequence[Target] = ()
    if options.published_every:
        others = published_ports.targets(both, PUBLISHED_SERVICES, options.load.path, progress)
    return _run("compare", pair, others, options, alike, net.software(), progress)


def calibrate(world: LocalWorld, options: Options, progress: Progress) -> Outcome:
    """Compare a world with itself (A/A): what is measured then is the method's own error.

    Raises: as `compare`.
    """
    options.check()
    endpoint = world.endpoint(EDGE)
    setup = comparability.observe(world, endpoint, options.load.path, "the same")
    pair = [Target(f"{TITLES[world.name]} {name}", world, endpoint) for name in "AB"]
    return _run(f"aa-{world.name}", pair, (), options, None, setup.software, progress)


def _run(
    name: str,
    pair: Sequence[Target],
    others: Sequence[Target],
    options: Options,
    alike: Comparability | None,
    software: dict[str, str],
    progress: Progress,
) -> Outcome:
    started = datetime.now(UTC)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    targets = (*pair, *others)
    progress(f"watching at rest for {options.rest_s:g} s")
    at_rest = meter.rest(trials.each_world(targets), seconds=options.rest_s)
    samples = trials.measure(
        pair,
        others,
        options.load,
        rounds=options.rounds,
        others_every=max(1, options.published_every),
        warmups=options.warmups,
        seed=seed,
        at_rest=at_rest,
        progress=progress,
    )
    first, second = (target.name for target in pair)
    entries = {target.name: published_ports.described(target) for target in targets}
    compared = Comparison(
        load=options.load,
        rounds=options.rounds,
        seed=seed,
        alike=alike,
        rest=at_rest,
        samples=samples,
        rows=comparison.rows(samples, entries),
        contrasts=tuple(
            comparison.contrast(samples, quantity, first, second, seed=seed)
            for quantity in CONTRASTS
        ),
        policy=pair[0].world.plan.policy,
        cores=os.cpu_count() or 1,
    )
    return Outcome(
        name,
        pair[0].world.plan,
        compared,
        compare_report.text(compared),
        code=0 if compared.succeeded else 1,
        not_alike=alike.sentences("misleads") if alike else (),
        fields={**compare_report.fields(compared), "forced": options.force},
        software=software,
        started=started,
    )
