"""What ways into two worlds cost over each other, of windows that they took in turn; pure.

A way is compared with its own world's edge, and Docker's edge with the namespaces'. One way in is
there twice: what it seems to differ from itself is the instrument's own error.
"""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.engine import report
from bench.engine.estimate import Ratio, ratio, spread
from bench.engine.trials import Rest
from bench.engine.windows import Window
from bench.load.wrk import WrkReport
from bench.questions import compare

NET, AGAIN, DOCKER = compare.TITLES["net"], "namespaces too", compare.TITLES["docker"]
CONCURRENCY = 20
PATH = "/api/products"

Quantity = Literal["rate", "cpu", "work", "host"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One window. Units: microseconds; `client_us` is wrk's CPU time, of the window's `host_us`.

    `rest_us` is what the world would have spent meanwhile had nobody asked, `held_us` for how
    long CPU quotas kept replicas waiting, all added up.
    """

    round: int
    way: str
    window: Window
    client_us: int
    rest_us: float
    held_us: int

    def value(self, quantity: Quantity) -> float:
        """Give requests per second, or CPU microseconds a request.

        `cpu` is the world's, `work` the same beyond what it spends at rest, `host` everybody's.
        """
        if quantity == "rate":
            return self.window.rate
        spent_us = {
            "cpu": self.window.cpu_us,
            "work": self.window.cpu_us - self.rest_us,
            "host": self.window.host_us - self.client_us,
        }
        return spent_us[quantity] / self.window.answered


@dataclass(frozen=True, slots=True)
class Difference:
    """What one way costs over another: four ratios, each the first way's to the second's.

    `host_us` is the middle of the second's CPU time a request on the whole host.
    """

    first: str
    second: str
    rate: Ratio
    cpu: Ratio
    work: Ratio
    host: Ratio
    host_us: float


@dataclass(frozen=True, slots=True)
class Turns:
    """The comparison; `entries` and how many requests were `asked` by the name of a way.

    `seconds` is how long a window lasts; `failed` counts requests without a 2xx or 3xx answer.
    wrk's latencies are not kept: it takes its being held for slow answers.
    """

    entries: dict[str, str]
    seconds: int
    turns: tuple[Turn, ...]
    asked: dict[str, int]
    failed: int
    differences: tuple[Difference, ...]
    rest: Rest
    seed: int


def pairs(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Give which ways are compared; pure."""
    base = {name: DOCKER if name.startswith("docker ") else NET for name in names}
    return tuple((name, base[name]) for name in names if name != NET)


def summarise(
    entries: dict[str, str],
    turns: Sequence[Turn],
    loads: dict[str, WrkReport],
    rest: Rest,
    *,
    seconds: int,
    seed: int,
) -> Turns:
    """Turn windows into ratios; pure. Raises: CannotTell for a window without an answer."""

    def values(name: str, quantity: Quantity) -> list[float]:
        own = sorted((one for one in turns if one.way == name), key=lambda one: one.round)
        return [one.value(quantity) for one in own]

    def between(first: str, second: str) -> Difference:
        def of(quantity: Quantity) -> Ratio:
            return ratio(values(first, quantity), values(second, quantity), seed=seed)

        middle = statistics.median(values(second, "host"))
        return Difference(first, second, of("rate"), of("cpu"), of("work"), of("host"), middle)

    found = tuple(between(first, second) for first, second in pairs(tuple(entries)))
    asked = {name: one.complete for name, one in loads.items()}
    failed = sum(one.non_2xx + one.lost for one in loads.values())
    return Turns(entries, seconds, tuple(turns), asked, failed, found, rest, seed)


def text(found: Turns) -> str:
    """Write the result, at most 80 columns wide."""
    ended = ", ".join(
        f"{name} {us / 1000:.1f} ms" for name, us in sorted(found.rest.cpu_us_per_s.items())
    )
    rounds = max(one.round for one in found.turns)
    parts = [
        _wrap(
            f"{CONCURRENCY} kept connections a way, {PATH}, {rounds} rounds of {found.seconds} s "
            f"each, seed {found.seed}"
        ),
        _table(found),
        _wrap(
            f"Medians over windows; CPU µs: a request, all replicas of the world; work: the "
            f"same beyond what the world spends at rest; host: the whole machine's, load "
            f"generator left out; quota: how long CPU quotas kept replicas waiting, all added "
            f"up, as a part of the time. {sum(found.asked.values()):,} requests, "
            f"{found.failed} failed. "
            + "; ".join(f"{name} = {entry}" for name, entry in found.entries.items())
            + "."
        ),
        _costs(found),
        _wrap(
            f"?: cannot be told apart. {AGAIN}: the same way in again, so what it seems to "
            "differ by is the instrument's own error. CPU time of the whole host for each "
            f"request: {'; '.join(extra(one) for one in found.differences)}."
        ),
        _wrap(
            f"CPU time per second at rest (health probes, leases, timers): {ended}; the whole "
            f"host {found.rest.host_us_per_s / 1000:.1f} ms. It is spent whichever world is "
            "loaded, so the rates above hide it: a world alone on the machine pays for its own "
            "only."
        ),
    ]
    return "\n\n".join(parts)


def _table(found: Turns) -> str:
    head = f"{'':<15}{'req/s':>8}{'(min–max)':>15}{'CPU µs':>9}{'work':>7}{'host':>7}{'quota':>8}"
    lines = [head, "─" * len(head)]
    for name in found.entries:
        own = [one for one in found.turns if one.way == name]
        rates = spread([one.window.rate for one in own])
        span = f"({rates.minimum:.0f}–{rates.maximum:.0f})"

        def median(of: Callable[[Turn], float], own: list[Turn] = own) -> float:
            return statistics.median(map(of, own))

        part = median(lambda one: one.held_us / 1e6 / one.window.seconds)
        lines.append(
            f"{name:<15}{rates.median:>8.0f}{span:>15}"
            f"{median(lambda one: one.value('cpu')):>9.0f}"
            f"{median(lambda one: one.value('work')):>7.0f}"
            f"{median(lambda one: one.value('host')):>7.0f}{part:>8.1%}"
        )
    return "\n".join(lines)


def _costs(found: Turns) -> str:
    """Draw what each way costs over another; what the interval leaves open has no estimate."""
    head = f"{'% more [95 %]':<16}{'req/s':>21}{'work':>21}{'host':>21}"
    lines = [head, "─" * len(head)]
    for base in dict.fromkeys(one.second for one in found.differences):
        lines.append(f"over {base}")
        for one in found.differences:
            if one.second == base:
                cells = (_cell(ratio) for ratio in (one.rate, one.work, one.host))
                lines.append(f"  {one.first:<14}" + "".join(f"{cell:>21}" for cell in cells))
    return "\n".join(lines)


def _cell(found: Ratio) -> str:
    ends = f"[{_part(found.low)}, {_part(found.high)}]"
    return f"{'?' if found.verdict == 'no measurable difference' else _part(found.estimate)} {ends}"


def extra(found: Difference) -> str:
    """Say what a way costs the whole host for each request, where that can be told; pure."""
    ends = (found.host.estimate, found.host.low, found.host.high)
    middle, least, most = (_signed((end - 1) * found.host_us, ".0f") for end in ends)
    if found.host.verdict == "no measurable difference":
        return f"{found.first} over {found.second} cannot be told ({least} to {most} µs)"
    return f"{found.first} over {found.second} {middle} µs ({least} to {most})"


def _part(value: float) -> str:
    return _signed((value - 1) * 100, ".1f")


def _signed(value: float, form: str) -> str:
    return f"{value:+{form}}".replace("-", "−")


def _wrap(sentence: str) -> str:
    return textwrap.fill(sentence, report.WIDTH)
