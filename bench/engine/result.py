"""What is printed and kept of what an experiment measured: verdict first, then tables; pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from statistics import fmean
from types import MappingProxyType
from typing import Any

from bench.engine.arm import CLIENT, CPU, ENGINE, SERVICES, Bound, Contrast, Quantity, Window
from bench.engine.gate import Gate
from bench.engine.measured import SLOWNESS, Measured, slowness
from bench.engine.show import WIDTH, columns, extremes, figure, wrap, written
from bench.engine.store import Outcome
from twinstack.model.plan import Plan
from twinstack.printable import counted
from twinstack.statistics import estimate
from twinstack.statistics.estimate import grouped, spread

#: So many arms have their rates in a line of progress.
_MOST_NAMED = 9


def outcome_of(
    measured: Measured,
    name: str,
    plan: Plan,
    notes: Iterable[str] = (),
    alike: Gate | None = None,
    more: Mapping[str, object] = MappingProxyType({}),
) -> Outcome:
    """Give what a question prints and keeps of what it measured; `more`: fields of its own."""
    listed = alike.listed() if alike else ()
    return Outcome(
        name,
        plan,
        None,
        "\n\n".join(filter(None, [text(measured, notes), *listed])),
        measured.exit_code,
        alike.allowed if alike else (),
        {
            "alike_but_for": list(alike.stated) if alike else [],
            "fingerprint": alike.digests if alike else {},
            **fields(measured),
            **more,
        },
        alike.software if alike else {},
        measured.windows,
    )


def brief(block: Sequence[Window]) -> str:
    """Write a block's rates in a line; how many arms it has, where that is more than fits."""
    arms = grouped(block, lambda window: window.arm)
    if len(arms) > _MOST_NAMED:
        return f"{len(arms)} arms"
    rates = {arm: fmean(window.rate for window in own) for arm, own in arms.items()}
    return "  ".join(f"{arm} {figure(rate)}/s" for arm, rate in rates.items())


def text(measured: Measured, notes: Iterable[str] = ()) -> str:
    """Write the whole result: verdict first."""
    parts = [opening(measured), table(measured)]
    if measured.undecidable:
        parts.insert(1, wrap(f"No verdict: {measured.undecidable}."))
    else:
        parts.insert(1, wrap(verdict_line(measured), speed_line(measured)))
        parts += [contrasts(measured), ledger(measured, measured.contrasts[0])]
        parts.append(wrap(*(bound_line(measured, bound) for bound in measured.bounds)))
    # A note of several lines is a table, or wrapped already.
    parts += (note if "\n" in note else wrap(note) for note in notes)
    return "\n\n".join(filter(None, parts))


def opening(measured: Measured) -> str:
    """Say what was measured, how, and what went wrong."""
    design = measured.design
    turns = f" in turns of {design.run_s:g} s" if design.runs > 1 else ""
    how = (
        f"{measured.load}; {measured.deployments} deployments, {measured.blocks} blocks of windows "
        f"of {design.seconds:g} s{turns}, seed {measured.seed}; {measured.stopped} after "
        f"{measured.seconds / 60:.1f} min."
    )
    broken = [f"INTERRUPTED: {measured.broken}"] if measured.broken else []
    failed = f"{measured.failed:,} requests FAILED: figures count successes only."
    return wrap(how, *broken, *([failed] if measured.failed else []))


def verdict_line(measured: Measured) -> str:
    """Answer the question in one sentence, with what disturbed it."""
    contrast, quantity = measured.contrasts[0], measured.quantities[0]
    said = f"{contrast.first} over {contrast.second}, {quantity.noun}: {measured.verdict.sentence}."
    if measured.busy:
        said += (
            f" The machine was BUSY: others had more than a tenth of it in {measured.busy} of "
            f"{measured.blocks} blocks, also when measured again."
        )
    elif measured.repeated:
        what = counted(measured.repeated, "measurement was", "measurements were")
        said += f" {what} repeated: others had the machine."
    return said


def speed_line(measured: Measured) -> str:
    """Say how the machine's speed varied, and what the answer is with that left in."""
    contrast, quantity = measured.contrasts[0], measured.quantities[0]
    if not all(window.work_us for window in measured.windows):
        return ""
    slow = [slowness(window) for window in measured.windows]
    met = measured.as_measured(contrast, SLOWNESS)
    return (
        f"A fixed piece of work took ±{statistics.stdev(slow):.0%} of CPU time from window to "
        f"window: so much did this machine's speed vary, and it is taken out. Between the arms "
        f"that work differed by {met.percent}. With the speed left in, the answer is "
        f"{measured.as_measured(contrast, quantity).percent}."
    )


def table(measured: Measured) -> str:
    """Draw a row for each arm: means over windows."""
    rows = []
    for name, windows in measured.arms.items():
        rates = spread([window.rate for window in windows])
        whole, quota = (fmean(map(of, windows)) for of in (CPU.of, attrgetter("quota")))
        services, engine, client = (
            fmean(sum(map(window.part, parts)) for window in windows)
            for parts in ([SERVICES], ENGINE, [CLIENT])
        )
        means = (whole, services, engine, client, whole - services - engine - client)
        figures = [f"{mean:.0f}" for mean in means]
        rows.append([name, f"{rates.median:.0f}", extremes(rates), *figures, f"{quota:.1%}"])
    head = ["", "req/s", "(min–max)", "CPU µs", "services", "engine", "client", "rest", "quota"]
    return columns(head, rows, rule=True)


def contrasts(measured: Measured) -> str:
    """Draw every contrast; "?" where the adjusted p-value leaves it open.

    A column for each quantity, or where that is too wide a row.
    """
    names = [quantity.name for quantity in measured.quantities]
    cells = {
        str(contrast): [_cell(measured, contrast, quantity) for quantity in measured.quantities]
        for contrast in measured.contrasts
    }
    rows = [[contrast, *row] for contrast, row in cells.items()]
    drawn = columns(["% more [95 %]", *names], rows, rule=True)
    if max(map(len, drawn.splitlines())) <= WIDTH:
        return drawn
    long = [
        ["" if number else contrast, name, cell]
        for contrast, row in cells.items()
        for number, (name, cell) in enumerate(zip(names, row, strict=True))
    ]
    return columns(["", "", "% more [95 %]"], long, rule=True)


def _cell(measured: Measured, contrast: Contrast, quantity: Quantity) -> str:
    ratio = measured.ratios.get((contrast, quantity.name))
    if ratio is None:
        return "cannot tell"
    open_ = "" if measured.adjusted[contrast, quantity.name] < estimate.OPEN_P else "?"
    change, ends = written(ratio.through(lambda end: (end - 1) * 100))
    return f"{change}{open_} {ends}"


def ledger(measured: Measured, contrast: Contrast) -> str:
    """Draw where the first arm's extra CPU time goes. Units: µs a request, beyond rest."""
    of_services = {f"  {name}": of for name, of in measured.services(contrast).items()}
    services, *others = measured.ledger(contrast).items()
    rows = [
        [part, *written(of)]
        for part, of in (services, *of_services.items(), *others)
        if part == "all" or of.shows(0.05)
    ]
    return columns([f"µs a request, {contrast}", "extra", "[95 %]"], rows, rule=True)


def bound_line(measured: Measured, bound: Bound) -> str:
    """Write a bound beside its outcome."""
    ratio = measured.ratios.get((bound.contrast, bound.quantity.name))
    limit = f"{bound.quantity.noun} {'≥' if bound.least else '<'} {bound.limit:.3g}"
    seen = f" ({ratio.percent})" if ratio else ""
    return f"{bound.contrast}: {limit} times: {measured.holds(bound)}{seen}."


def fields(measured: Measured) -> dict[str, Any]:
    """Give the fields of the JSON document. Its keys are relied upon."""
    plain = ("load", "seed", "seconds", "stopped", "broken", "failed")
    document: dict[str, Any] = {key: getattr(measured, key) for key in plain} | {
        "design": asdict(measured.design),
        "busy": {"repeated": measured.repeated, "kept": measured.busy},
        "verdict": None,
        "sentence": f"No verdict: {measured.broken or measured.undecidable}",
        "quantities": [
            {key: getattr(quantity, key) for key in ("name", "noun", "unit")}
            for quantity in measured.quantities
        ],
        "contrasts": [],
        "bounds": [],
        "windows": [asdict(window) for window in measured.windows],
    }
    if measured.undecidable:
        return document
    return document | {
        "verdict": asdict(measured.verdict),
        "sentence": verdict_line(measured),
        "contrasts": [_fields(measured, contrast) for contrast in measured.contrasts],
        "bounds": [
            {
                "contrast": str(bound.contrast),
                "quantity": bound.quantity.name,
                "limit": bound.limit,
                "least": bound.least,
                "holds": measured.holds(bound),
            }
            for bound in measured.bounds
        ],
    }


def _fields(measured: Measured, contrast: Contrast) -> dict[str, Any]:
    ratios, raw = {}, {}
    for quantity in measured.quantities:
        if ratio := measured.ratios.get((contrast, quantity.name)):
            adjusted = {"adjusted_p": measured.adjusted[contrast, quantity.name]}
            ratios[quantity.name] = asdict(ratio) | adjusted
            raw[quantity.name] = asdict(measured.as_measured(contrast, quantity))
    return {
        **asdict(contrast),
        "ratios": ratios,
        "as_measured": raw,
        "ledger": {part: asdict(of) for part, of in measured.ledger(contrast).items()},
        "services": {name: asdict(of) for name, of in measured.services(contrast).items()},
    }
