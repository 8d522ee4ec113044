"""Why do the worlds differ? The way from one to the other in steps, with evidence of each.

The same windows as in `compare` give a waterfall: each service, engine part, client and kernel
threads, and what none of them has. Counters beside them name causes (see `symptoms`). Where asked,
stacks are sampled in windows of their own: what the kernel did in that time (see `evidence`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.engine import evidence as sampling
from bench.engine import gate, worlds
from bench.engine.arm import Arm, Contrast
from bench.engine.loads import by_wrk
from bench.engine.question import Design, Experiment, Measured, Outcome, outcome_of, run
from bench.engine.show import draw_waterfall
from bench.questions.causes import place_in
from bench.questions.compare import CONNECTIONS, TITLES
from bench.questions.symptoms import counting, findings, table
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.statistics.estimate import MINIMUM_BLOCKS

OVER = Contrast("docker", "namespaces")
_PATH = "/api/products"
#: Windows of each arm in which stacks are sampled.
_SAMPLED = 2 * MINIMUM_BLOCKS


def ask(
    stack: Stack,
    *,
    how: Design,
    evidence: bool = False,
    shape: str | None = None,
    allow: Sequence[str] = (),
    progress: Progress,
) -> Outcome:
    """Explain what Docker costs over namespaces.

    Raises: TwinstackError when the worlds are not alike; Missing; CannotTell; StepFailed.
    """
    used = worlds.both(stack, shape, progress)

    def arms() -> Iterator[Arm]:
        for world in used:
            url = world.endpoint(worlds.EDGE).url(_PATH)
            load = by_wrk(url, CONNECTIONS, how.run_s)
            yield Arm(TITLES[world.name], load, world.name)

    def counted() -> Iterator[Arm]:
        for world, arm in zip(used, arms(), strict=True):
            yield counting(place_in(world))(arm)

    with worlds.lifted(used):
        alike = gate.require(used, worlds.EDGE, _PATH, allow, progress)
        experiment = Experiment(
            stage=worlds.redeployed(used, counted, progress),
            contrasts=(OVER,),
            load=f"{CONNECTIONS} kept connections (wrk), {_PATH}",
            worlds=used,
        )
        measured = run(experiment, how, progress)
        sampled: sampling.Evidence | str = ""
        if evidence and not measured.broken:
            sampled = sampling.gather([*arms()], _SAMPLED, progress)
        changed = gate.unchanged(alike, used)
    notes, more = [*changed, *explained(measured)], dict[str, object]()
    if isinstance(sampled, str):  # why there is no evidence
        notes.append(sampled)
    else:
        notes.append(sampling.table(sampled, OVER.first, OVER.second))
        more["sampled_us"] = sampled
    return outcome_of(measured, "explain", used[0].plan, notes, alike, more)


def explained(measured: Measured) -> Iterator[str]:
    """Write the waterfall, how much of it is named, and the causes that show; pure."""
    if measured.undecidable:
        return
    way = measured.waterfall(OVER)
    yield draw_waterfall(way)
    extra = way.last[1] - way.first[1]
    named = way.named_but("left over")
    yield f"Of {extra:+.1f} µs a request, {named:.0%} are in named parts."
    yield table(findings(measured, OVER), OVER)
