"""Which world answers more, and for how much CPU time? Both entered at the edge's own address.

Each block loads both twice: `wrk` over kept connections, which the verdict is of, and `ab` as the
seed ran it, whose table is beside it. `published` adds the ways in by published ports.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter

from bench.engine import gate, published_ports, worlds
from bench.engine.arm import Arm, Contrast
from bench.engine.design import require_load
from bench.engine.loads import by_ab, by_wrk, require_quiet
from bench.engine.question import Design, Experiment, Measured, Outcome, outcome_of, run
from bench.engine.show import columns, extremes, milliseconds, part
from bench.load.ab import AbLoad
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.statistics.estimate import spread
from twinstack.world import Endpoint, LocalWorld

#: What a world is called in results.
TITLES = {"net": "namespaces", "docker": "docker"}
CONNECTIONS = 20
Entries = Mapping[str, tuple[LocalWorld, Endpoint]]


def ask(
    stack: Stack,
    *,
    how: Design,
    load: AbLoad,
    published: bool = False,
    aa: str = "",
    shape: str | None = None,
    allow: Sequence[str] = (),
    progress: Progress,
) -> Outcome:
    """Compare both worlds, or one with itself (`aa`): what differs then is the method's own error.

    Raises: TwinstackError when they are not alike; Missing; CannotTell; StepFailed.
    """
    require_load(load)
    itself = worlds.named(aa, "--aa") if aa else ""
    used = worlds.asked(stack, itself or "both", shape, progress)
    titled = {TITLES[world.name]: world for world in used}
    if itself:
        titled = {f"{TITLES[itself]} {letter}": used[0] for letter in "AB"}
    entries = {title: (world, world.endpoint(worlds.EDGE)) for title, world in titled.items()}
    how = how if worlds.probed(stack) else how.taking_turns()
    with worlds.lifted(used):
        alike = gate.require(used, worlds.EDGE, load.path, allow, progress)
        pair = tuple(entries)
        if published:
            entries |= published_ports.entries(used, load.path, progress)
        require_quiet([endpoint for _, endpoint in entries.values()])

        def arms() -> Iterator[Arm]:
            for name, (world, endpoint) in entries.items():
                wrk = by_wrk(endpoint.url(load.path), CONNECTIONS, how.run_s)
                yield Arm(name, wrk, world.name)
            for name in pair:
                world, endpoint = entries[name]
                yield Arm(f"{name}, ab", by_ab(endpoint, load), world.name)

        base, over = pair
        edges = {entries[name][0].name: name for name in pair}
        ways = {name: edges[entries[name][0].name] for name in entries if name not in pair}
        contrasts = {over: base, f"{over}, ab": f"{base}, ab", **ways}
        experiment = Experiment(
            stage=worlds.redeployed(used, arms, progress),
            contrasts=tuple(Contrast(*both) for both in contrasts.items()),
            load=f"{CONNECTIONS} kept connections (wrk), {load.path}",
            worlds=used,
        )
        measured = run(experiment, how, progress)
        changed = gate.unchanged(alike, used)
    name = f"aa-{aa}" if aa else "compare"
    notes = [*changed, ab_table(measured), *_notes(load, entries)]
    return outcome_of(measured, name, used[0].plan, notes, alike)


def ab_table(measured: Measured) -> str:
    """Draw what ab reported, as its users know it: medians over runs."""
    rows = []
    for name, windows in measured.arms.items():
        if not name.endswith(", ab"):
            continue
        rates = spread([window.rate for window in windows])
        done, failed = (sum(map(attrgetter(of), windows)) for of in ("done", "failed"))
        figures = [
            statistics.median(window.figures[of] for window in windows)
            for of in ("mean_ms", "p50_ms", "p99_ms", "transferred_bytes", "seconds")
        ]
        counts = [name, str(len(windows)), f"{rates.median:.0f}", extremes(rates)]
        megabytes_s = figures[3] / figures[4] / 1e6
        ok = part(done / (done + failed))
        rows.append([*counts, *map(milliseconds, figures[:3]), ok, f"{megabytes_s:.1f}"])
    head = ["", "runs", "req/s", "(min–max)", "mean", "p50", "p99", "ok", "MB/s"]
    return columns(head, rows, rule=True)


def _notes(load: AbLoad, entries: Entries) -> Iterator[str]:
    kind = "kept" if load.keepalive else "a new one each"
    addresses = "; ".join(
        f"{name} = {published_ports.described(name, endpoint)}"
        for name, (_, endpoint) in entries.items()
    )
    yield (
        f"ab: runs of {load.requests} requests, {load.concurrency} at once, connections {kind}; "
        f"medians over runs, times in ms: of a closed loop, so its mean is {load.concurrency} "
        f"divided by the rate and no measure of latency. {addresses}."
    )
