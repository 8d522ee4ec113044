"""The front of the benchmark: two worlds and options in, a comparison out.

`tasks.py` makes the worlds and prints; everything between is here. See the package's docstring
for who does what.
"""

from __future__ import annotations

import secrets
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.engine import comparability, comparison, environment, published_ports, report, trials
from bench.engine.design import require_load, require_rounds
from bench.engine.report import Comparison
from bench.engine.trials import Load, Target
from bench.engine.worlds import EDGE
from twinstack.errors import TwinstackError
from twinstack.model import bounds
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

#: What a world is called where users read it.
TITLES = {"net": "namespaces", "docker": "docker"}
PUBLISHED_SERVICES = (EDGE, "api-gateway")


@dataclass(frozen=True, slots=True)
class Options:
    """How to compare. The defaults are those of the seed's table, ten times over.

    `published_every` rounds the published ports are measured too; 0 leaves them out. `rest_s`
    is how long both are watched at rest. `seed` None draws one.
    """

    path: str = "/api/products"
    requests: int = 1000
    concurrency: int = 50
    rounds: int = 10
    keepalive: bool = False
    warmups: int = 1
    published_every: int = 3
    rest_s: float = 4.0
    seed: int | None = None
    force: bool = False

    def check(self) -> None:
        """Refuse what cannot be measured. Raises: TwinstackError."""
        require_load(self.requests, self.concurrency)
        require_rounds(self.rounds)
        bounds.within("warmups", self.warmups, 0, 100)
        if not self.path.startswith("/"):
            raise TwinstackError("--path", f"cannot be {self.path}", "", "begin it with /")

    @property
    def load(self) -> Load:
        """Give one trial's load; bounded to a second per ten requests, two minutes at least."""
        return Load(
            self.path,
            self.requests,
            self.concurrency,
            self.keepalive,
            timeout_s=max(120.0, self.requests / 10),
        )


def compare(
    net: LocalWorld, docker: LocalWorld, options: Options, progress: Progress
) -> Comparison:
    """Compare the two worlds.

    Raises: Missing when one is not up; TwinstackError when they are not alike (unless forced);
    CannotTell when a trial cannot be trusted.
    """
    options.check()
    alike = comparability.look(
        net, docker, EDGE, options.path, force=options.force, progress=progress
    )
    pair = tuple(Target(TITLES[world.name], world, world.endpoint(EDGE)) for world in (net, docker))
    others: tuple[Target, ...] = ()
    if options.published_every:
        others = published((net, docker), PUBLISHED_SERVICES, options.path, progress)
    return _run("compare", pair, others, options, alike, net.software(), progress)


def calibrate(world: LocalWorld, options: Options, progress: Progress) -> Comparison:
    """Compare a world with itself (A/A): what is found then is the instrument's own error.

    Raises: as `compare`.
    """
    options.check()
    endpoint = world.endpoint(EDGE)
    facts = comparability.observe(world, endpoint, options.path, entry="the same")
    pair = tuple(Target(f"{TITLES[world.name]} {one}", world, endpoint) for one in "AB")
    return _run(f"aa-{world.name}", pair, (), options, None, facts.software, progress)


def told(found: Comparison) -> str:
    """Write the report as a terminal shows it; an A/A run's says what that means."""
    text = report.text(found)
    if found.likeness is not None:
        return text
    return f"{text}\n\n{textwrap.fill(calibration_line(found), report.WIDTH)}"


def calibration_line(found: Comparison) -> str:
    """Say in one line what an A/A run says of the instrument."""
    contrast = found.contrasts[0]
    if contrast.ratio is None:
        return f"Calibration: {contrast.sentence}"
    low, high = (abs(end - 1) * 100 for end in (contrast.ratio.low, contrast.ratio.high))
    if contrast.ratio.verdict != "no measurable difference":
        return (
            f"Calibration FAILED: a world differs from itself by "
            f"{abs(contrast.ratio.estimate - 1):.1%}; the machine is too noisy, or chance had it "
            f"(1 run of 20): repeat, with more rounds."
        )
    return (
        f"Calibration: a world compared with itself shows no difference; differences below "
        f"about {max(low, high):.1f} % cannot be seen in this setting."
    )


def published(
    worlds: Sequence[LocalWorld], services: Sequence[str], path: str, progress: Progress
) -> tuple[Target, ...]:
    """Give the doors of services on the host, as a client on the host uses them."""
    found = []
    for world in worlds:
        for service in services:
            endpoint = world.published(service)
            if endpoint is not None:
                found.append(Target(f"{world.name} :{endpoint.port}", world, endpoint))
        door = published_ports.by_dnat(world, EDGE, path, progress)
        if door is not None:
            found.append(Target(f"{world.name} DNAT", world, door))
    return tuple(found)


def _run(
    name: str,
    pair: tuple[Target, ...],
    others: tuple[Target, ...],
    options: Options,
    alike: comparability.Likeness | None,
    software: dict[str, str],
    progress: Progress,
) -> Comparison:
    started = datetime.now(UTC)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    worlds = list({id(one.world): one.world for one in (*pair, *others)}.values())
    progress(f"watching at rest for {options.rest_s:g} s")
    at_rest = trials.rest(worlds, seconds=options.rest_s)
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
    targets = (*pair, *others)
    first, second = (target.name for target in pair)
    return Comparison(
        name=name,
        started=started,
        load=options.load,
        rounds=options.rounds,
        seed=seed,
        environment=environment.describe(pair[0].world.plan, software),
        likeness=alike,
        forced=options.force,
        rest=at_rest,
        samples=samples,
        rows=comparison.rows(samples, {one.name: entry(one) for one in targets}),
        contrasts=tuple(
            comparison.contrast(samples, quantity, first, second, seed=seed)
            for quantity in ("rate", "cpu", "work", "host")
        ),
    )


def save(found: Comparison) -> str:
    """Keep a comparison under bench/results/; gives the path of the page."""
    page = report.save(found.name, found.started, report.document(found), report.markdown(found))
    return str(page)


def keep(
    name: str,
    started: datetime,
    plan: Plan,
    result: object,
    said: str,
    not_alike: Sequence[str] = (),
) -> tuple[dict[str, object], str]:
    """Keep the result of any other question (gateways, chain, startup, layers) likewise.

    Gives the JSON document and the path of the page.
    """
    found = environment.describe(plan, {})
    document = report.result_document(name, started, found, result, said, not_alike)
    page = report.save(name, started, document, report.result_page(name, started, found, said))
    return document, str(page)


def entry(target: Target) -> str:
    """Name a way in; the host's own address is not told: a result is kept and passed on."""
    address = published_ports.HOST if target.name.endswith(" DNAT") else target.endpoint.address
    way = f"{address}:{target.endpoint.port}"
    through_proxy = target.name.startswith("docker :") and published_ports.proxied(
        target.endpoint.port
    )
    return f"{way} (docker-proxy)" if through_proxy else way
