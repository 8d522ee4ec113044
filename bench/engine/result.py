"""From windows to ratios, verdict, ledger and text; pure.

The first quantity of the first contrast is the question: its verdict stands for itself. All other
ratios are looked at together, so their p-values are adjusted (Holm): of many intervals some would
exclude "no difference" by chance.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import product
from operator import methodcaller
from typing import Any

from bench.engine import estimate
from bench.engine.arm import (
    CPU,
    ENGINE,
    PARTS,
    RATE,
    SERVICES_CPU,
    SLOWNESS,
    Bound,
    Contrast,
    Quantity,
    Window,
    service_of,
)
from bench.engine.design import LEAST_DEPLOYMENTS, Design
from bench.engine.estimate import Difference, Holds, Pair, Ratio, Verdict, blocks, grouped, spread
from bench.engine.gate import Gate
from bench.engine.levelling import levelled, slowness
from bench.engine.show import columns, extremes, figure, signed, wrap
from bench.engine.store import Outcome
from bench.engine.waterfall import Waterfall
from twinstack.errors import CannotTell
from twinstack.model.plan import Plan


@dataclass(frozen=True)
class Measured:
    """Everything that an experiment measured, with what is needed to repeat it."""

    load: str
    windows: tuple[Window, ...]
    contrasts: tuple[Contrast, ...]
    quantities: tuple[Quantity, ...]
    bounds: tuple[Bound, ...]
    design: Design
    seed: int
    seconds: float  # that it took
    repeated: int  # blocks measured again as others had the machine
    busy: int  # blocks that count although others had the machine
    stopped: str = ""  # "precise", "out of time" or "interrupted"
    broken: str = ""  # why it was interrupted
    code: int = 0  # the exit code of that

    def ended(self, stopped: str, broken: str, code: int) -> Measured:
        """Give the same with its end."""
        return replace(self, stopped=stopped, broken=broken, code=code)

    @property
    def deployments(self) -> int:
        return len({window.deployment for window in self.windows})

    @cached_property
    def arms(self) -> dict[str, list[Window]]:
        """Give the windows of each arm, what is compared with first."""
        groups = grouped(self.windows, lambda window: window.arm)
        named = (arm for contrast in self.contrasts for arm in (contrast.second, contrast.first))
        return {arm: groups[arm] for arm in dict.fromkeys((*named, *groups)) if arm in groups}

    @cached_property
    def undecidable(self) -> str:
        """Say why there is no verdict; empty when there is one."""
        if self.deployments < LEAST_DEPLOYMENTS:
            return f"fewer than {LEAST_DEPLOYMENTS} deployments"
        try:
            return "" if self.ratios else "nothing is compared"
        except CannotTell as error:  # a machine so busy that less than rest was spent
            return str(error)

    @property
    def failed(self) -> int:
        return sum(window.failed for window in self.windows)

    def ratio(self, contrast: Contrast, quantity: Quantity) -> Ratio:
        """Give the first arm's over the second's, at one speed of the machine.

        Raises: CannotTell with too few deployments.
        """
        sides = first, second = self._sides(contrast)
        return estimate.paired(*sides, levelled([*first, *second], quantity.of, ratios=True))

    def as_measured(self, contrast: Contrast, quantity: Quantity) -> Ratio:
        """Give the same with the machine's speed left in. Raises: as `ratio`."""
        return estimate.paired(*self._sides(contrast), quantity.of)

    def difference(self, contrast: Contrast, of: Callable[[Window], float]) -> Difference:
        """Give the first arm's less the second's. Raises: as `ratio`."""
        return estimate.difference(self._blocks(contrast, of))

    def _blocks(self, contrast: Contrast, of: Callable[[Window], float]) -> tuple[Pair, ...]:
        sides = first, second = self._sides(contrast)
        value = levelled([*first, *second], of, ratios=False)
        return blocks(*sides, value, mean=statistics.fmean)

    def _sides(self, contrast: Contrast) -> tuple[list[Window], list[Window]]:
        return self.arms.get(contrast.first, []), self.arms.get(contrast.second, [])

    def half_widths(self) -> dict[str, float]:
        """Give the half-widths of the first contrast; empty while it has no interval."""
        if self.undecidable:
            return {}
        question = self.contrasts[0]
        return {of.name: self.ratio(question, of).half_width for of in self.quantities}

    @cached_property
    def ratios(self) -> dict[tuple[Contrast, str], Ratio]:
        """Give each contrast's ratio of each quantity, where there is one: the question's must be.

        Raises: CannotTell without the question's own.
        """
        ratios = {}
        for contrast, quantity in product(self.contrasts, self.quantities):
            try:
                ratios[contrast, quantity.name] = self.ratio(contrast, quantity)
            except CannotTell:  # short windows of one arm on a busy machine: less than rest
                if contrast == self.contrasts[0]:
                    raise
        return ratios

    @cached_property
    def adjusted(self) -> dict[tuple[Contrast, str], float]:
        """Give each ratio's p-value: the question's own as it is, all others adjusted."""
        keys = list(self.ratios)
        others = estimate.holm({key: self.ratios[key].p for key in keys[1:]})
        return {keys[0]: self.ratios[keys[0]].p, **others}

    @property
    def verdict(self) -> Verdict:
        """Answer the question."""
        return estimate.verdict(self.ratios[self.contrasts[0], self.quantities[0].name])

    def holds(self, bound: Bound) -> Holds:
        """Tell whether a bound is kept: only the whole interval decides."""
        judge = estimate.above if bound.least else estimate.below
        ratio = self.ratios.get((bound.contrast, bound.quantity.name))
        return judge(ratio, bound.limit) if ratio else "cannot tell"

    def ledger(self, contrast: Contrast) -> dict[str, Difference]:
        """Give where the difference in CPU time per request goes; the parts add up to "all"."""

        parts = {part: self.difference(contrast, partial(_part, name=part)) for part in PARTS}
        return {**parts, "all": self.difference(contrast, CPU.of)}

    def services(self, contrast: Contrast) -> dict[str, Difference]:
        """Give where the services' part of the ledger goes; they add up to it."""
        windows = [window for side in self._sides(contrast) for window in side]
        names = {service_of(replica): None for window in windows for replica in window.services_us}
        return {name: self.difference(contrast, methodcaller("service", name)) for name in names}

    def waterfall(self, contrast: Contrast) -> Waterfall:
        """Give the way from the second arm's CPU time per request to the first's."""
        pairs = self._blocks(contrast, CPU.of)
        parts = self.ledger(contrast)
        return Waterfall(
            "µs a request",
            (contrast.second, statistics.fmean(pair.second for pair in pairs)),
            {**self.services(contrast), **{part: parts[part] for part in PARTS[1:]}},
            (contrast.first, statistics.fmean(pair.first for pair in pairs)),
        )

    def outcome(
        self,
        name: str,
        plan: Plan,
        notes: Iterable[str] = (),
        alike: Gate | None = None,
    ) -> Outcome:
        """Give what a question prints and keeps."""
        listed = alike.listed() if alike else ()
        return Outcome(
            name,
            plan,
            None,
            "\n\n".join(filter(None, [text(self, notes), *listed])),
            self.exit_code,
            alike.allowed if alike else (),
            {
                "alike_but_for": list(alike.stated) if alike else [],
                "fingerprint": alike.digests if alike else {},
                **fields(self),
            },
            alike.software if alike else {},
            self.windows,
        )

    @property
    def exit_code(self) -> int:
        """Give 0 when all went well and holds, 1 when not, 2 when the samples leave it open."""
        if self.broken or self.failed:
            return self.code or 1
        if self.undecidable:
            return 2
        return estimate.exit_code(*map(self.holds, self.bounds))


def _part(window: Window, name: str) -> float:
    return window.part(name)


def brief(block: Sequence[Window]) -> str:
    """Write a block's rates in a line."""
    rates = _by_arm(block, RATE)
    return "  ".join(f"{arm} {figure(rate)}/s" for arm, rate in rates.items())


def _by_arm(windows: Sequence[Window], quantity: Quantity) -> dict[str, float]:
    arms = grouped(windows, lambda window: window.arm)
    return {arm: sum(map(quantity.of, own)) / len(own) for arm, own in arms.items()}


def text(measured: Measured, notes: Iterable[str] = ()) -> str:
    """Write the whole result: verdict first."""
    parts = [opening(measured), table(measured)]
    if measured.undecidable:
        parts.insert(1, wrap(f"No verdict: {measured.undecidable}."))
    else:
        parts.insert(1, wrap(verdict_line(measured), speed_line(measured)))
        parts += [contrasts(measured), ledger(measured, measured.contrasts[0])]
        parts += [wrap(*map(bound_line(measured), measured.bounds))] if measured.bounds else []
    return "\n\n".join(filter(None, [*parts, *map(_paragraph, notes)]))


def _paragraph(note: str) -> str:
    """Wrap a sentence; leave a table, or what is wrapped already, as it is."""
    return note if "\n" in note else wrap(note)


def opening(measured: Measured) -> str:
    """Say what was measured, how, and what went wrong."""
    return wrap(*_opening(measured))


def _opening(measured: Measured) -> Iterator[str]:
    how = measured.design
    blocks = len({window.block for window in measured.windows})
    yield (
        f"{measured.load}; {measured.deployments} deployments, {blocks} blocks of windows of "
        f"{how.seconds:g} s, seed {measured.seed}; {measured.stopped} after "
        f"{measured.seconds / 60:.1f} min."
    )
    if measured.broken:
        yield f"INTERRUPTED: {measured.broken}"
    if measured.failed:
        yield f"{measured.failed:,} requests FAILED: figures count successes only."


def verdict_line(measured: Measured) -> str:
    """Answer the question in one sentence, with what disturbed it."""
    contrast, quantity = measured.contrasts[0], measured.quantities[0]
    said = f"{contrast.first} over {contrast.second}, {quantity.noun}: {measured.verdict.sentence}."
    if measured.busy:
        blocks = len({window.block for window in measured.windows})
        said += (
            f" The machine was BUSY: others had more than a tenth of it in {measured.busy} of "
            f"{blocks} blocks, also when measured again."
        )
    elif measured.repeated:
        again = "1 block was" if measured.repeated == 1 else f"{measured.repeated} blocks were"
        said += f" {again} measured again: others had the machine."
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
        engine = sum(window.part(part) for window in windows for part in ENGINE) / len(windows)
        cells = [SERVICES_CPU.of(w) for w in windows], [w.part("client") for w in windows]
        means = [sum(column) / len(column) for column in cells]
        whole = sum(window.cpu for window in windows) / len(windows)
        quota = sum(window.quota for window in windows) / len(windows)
        rest = whole - sum(means) - engine
        figures = [f"{value:.0f}" for value in (whole, means[0], engine, means[1], rest)]
        rows.append([name, f"{rates.median:.0f}", extremes(rates), *figures, f"{quota:.1%}"])
    head = ["", "req/s", "(min–max)", "CPU µs", "services", "engine", "client", "rest", "quota"]
    return columns(head, rows, rule=True)


def contrasts(measured: Measured) -> str:
    """Draw every contrast; "?" where the adjusted p-value leaves it open."""
    head = ["% more [95 %]", *(quantity.name for quantity in measured.quantities)]
    rows = [
        [str(contrast), *(_cell(measured, contrast, quantity) for quantity in measured.quantities)]
        for contrast in measured.contrasts
    ]
    return columns(head, rows, rule=True)


def _cell(measured: Measured, contrast: Contrast, quantity: Quantity) -> str:
    ratio = measured.ratios.get((contrast, quantity.name))
    if ratio is None:
        return "cannot tell"
    open_ = "" if measured.adjusted[contrast, quantity.name] < estimate.OPEN_P else "?"
    ends = [signed((end - 1) * 100, 1) for end in (ratio.estimate, ratio.low, ratio.high)]
    return f"{ends[0]}{open_} [{ends[1]}, {ends[2]}]"


def ledger(measured: Measured, contrast: Contrast) -> str:
    """Draw where the first arm's extra CPU time goes. Units: µs a request, beyond rest."""
    of_services = {f"  {name}": of for name, of in measured.services(contrast).items()}
    services, *others = measured.ledger(contrast).items()
    rows = [
        [part, signed(of.estimate, 1), f"[{signed(of.low, 1)}, {signed(of.high, 1)}]"]
        for part, of in (services, *of_services.items(), *others)
        if part == "all" or abs(of.estimate) >= 0.05 or of.low > 0 or of.high < 0
    ]
    return columns([f"µs a request, {contrast}", "extra", "[95 %]"], rows, rule=True)


def bound_line(measured: Measured) -> Callable[[Bound], str]:
    """Give what writes a bound beside its outcome."""

    def line(bound: Bound) -> str:
        ratio = measured.ratios.get((bound.contrast, bound.quantity.name))
        limit = f"{bound.quantity.noun} {'≥' if bound.least else '<'} {bound.limit:.3g}"
        seen = f" ({ratio.percent})" if ratio else ""
        return f"{bound.contrast}: {limit} times: {measured.holds(bound)}{seen}."

    return line


def fields(measured: Measured) -> dict[str, Any]:
    """Give the fields of the JSON document. Its keys are relied upon."""
    enough = not measured.undecidable
    return {
        "load": measured.load,
        "design": asdict(measured.design),
        "seed": measured.seed,
        "seconds": measured.seconds,
        "stopped": measured.stopped,
        "broken": measured.broken,
        "busy": {"repeated": measured.repeated, "kept": measured.busy},
        "failed": measured.failed,
        "verdict": asdict(measured.verdict) if enough else None,
        "sentence": verdict_line(measured)
        if enough
        else f"No verdict: {measured.broken or measured.undecidable}",
        "quantities": [
            {"name": quantity.name, "noun": quantity.noun, "unit": quantity.unit}
            for quantity in measured.quantities
        ],
        "contrasts": [_fields(measured, contrast) for contrast in measured.contrasts]
        if enough
        else [],
        "bounds": [
            {
                "contrast": str(bound.contrast),
                "quantity": bound.quantity.name,
                "limit": bound.limit,
                "least": bound.least,
                "holds": measured.holds(bound),
            }
            for bound in measured.bounds
            if enough
        ],
        "windows": [asdict(window) for window in measured.windows],
    }


def _fields(measured: Measured, contrast: Contrast) -> dict[str, Any]:
    return {
        "first": contrast.first,
        "second": contrast.second,
        "title": contrast.title,
        "ratios": {
            quantity.name: {
                **asdict(ratio),
                "adjusted_p": measured.adjusted[contrast, quantity.name],
            }
            for quantity in measured.quantities
            if (ratio := measured.ratios.get((contrast, quantity.name)))
        },
        "as_measured": {
            quantity.name: asdict(measured.as_measured(contrast, quantity))
            for quantity in measured.quantities
            if (contrast, quantity.name) in measured.ratios
        },
        "ledger": {part: asdict(of) for part, of in measured.ledger(contrast).items()},
        "services": {name: asdict(of) for name, of in measured.services(contrast).items()},
    }
