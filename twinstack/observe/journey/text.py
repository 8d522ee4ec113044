"""A journey as text of 80 columns, alone or two worlds side by side; pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from twinstack.observe.journey.report import KINDS, Counted, Journey, Kind, Step, stages
from twinstack.printable import cut

WIDTH = 80
_BAR, _WHAT = 18, 44
_MARKS: dict[Kind, str] = {"hop": "─", "work": "█", "connect": "▒"}
_SIDE_BAR, _SIDE_WHAT = 13, 42
_MOST_RULES = 24
#: A comment, and what it says behind the mark that ours begin with.
_COMMENT = re.compile(r'-m comment --comment "?(?:twinstack:[a-z0-9-]+ ?)?([^"]*)"? ?')


def text(found: Journey) -> str:
    """Draw one journey: each step, when it began and what it took."""
    parts = [headline(found), _legend(), *(_row(one, found.total_us) for one in found.steps)]
    return "\n".join([*parts, *_sums(found), "", *_beside(found)])


def side_by_side(found: Sequence[Journey]) -> str:
    """Draw each world's journey, then the stages of all beside each other."""
    return "\n\n".join([*(text(one) for one in found), table(found)])


def headline(found: Journey) -> str:
    """Say in a sentence what was asked and what came of it."""
    return textwrap.fill(
        f"GET {found.url} in the {found.world} world ({found.shape}): {found.status}, "
        f"{found.body_bytes:,} bytes, {found.total_us:,.0f} µs; {found.packets} packets were "
        f"seen {found.sights} times on {found.links} links",
        WIDTH,
    )


def table(found: Sequence[Journey]) -> str:
    """Put the stages of all worlds beside each other, each in the order of the longest."""
    sums = [stages(one) for one in found]
    order = max((list(one) for one in sums), key=len)
    for one in sums:
        for place, name in enumerate(one):
            if name not in order:  # behind what comes before it there
                before = list(one)[:place]
                order.insert(order.index(before[-1]) + 1 if before else 0, name)
    most = max((took for one in sums for _, took in one.values()), default=1.0)
    heads = "".join(f"{one.world + ' µs':>11}" for one in found)
    lines = [f"{'stage':<{_SIDE_WHAT}}{heads}"]
    for name in order:
        cells = "".join(f"{one[name][1]:>11,.0f}" if name in one else f"{'–':>11}" for one in sums)
        longest = max(one[name] for one in sums if name in one)
        bar = _bar(longest[0], longest[1], most, _SIDE_BAR)
        lines.append(f"{cut(name, _SIDE_WHAT - 1):<{_SIDE_WHAT}}{cells}  {bar}".rstrip())
    totals = "".join(f"{one.total_us:>11,.0f}" for one in found)
    return "\n".join([*lines, f"{'in all':<{_SIDE_WHAT}}{totals}"])


def _legend() -> str:
    said = ", ".join(f"{_MARKS[kind]} {words}" for kind, words in KINDS)
    return f"{'at µs':>7} {'took':>7}  {said}"


def _row(one: Step, total_us: float) -> str:
    what = cut("· " * one.depth + one.what, _WHAT)
    begin = min(int(one.at_us / total_us * _BAR), _BAR - 1)
    room = _BAR - begin
    bar = " " * begin + _bar(one.kind, one.took_us, total_us, _BAR)[:room]
    return f"{one.at_us:>7,.0f} {one.took_us:>7,.1f}  {what:<{_WHAT}} {bar}".rstrip()


def _bar(kind: Kind, took_us: float, most_us: float, width: int) -> str:
    return _MARKS[kind] * max(1, round(took_us / most_us * width)) if took_us else ""


def _sums(found: Journey) -> list[str]:
    lines = ["", "Where the time went"]
    for kind, words in KINDS:
        took = sum(one.took_us for one in found.steps if one.kind == kind)
        lines.append(f"{took:>10,.1f} µs {took / found.total_us:>6.1%}  {words}")
    return lines


def _beside(found: Journey) -> list[str]:
    lines = ["NAT rewrote" if found.rewrites else "NAT rewrote nothing."]
    for one in found.rewrites:
        lines.append(f"  {one.before_ends}   ({one.after})")
        lines.append(f"    to {one.after_ends}   ({one.until})")
    lines += ["", "Rules that counted meanwhile, and could have counted this (packets)"]
    lines += [line for rule in found.rules[:_MOST_RULES] for line in _rule(rule)]
    if len(found.rules) > _MOST_RULES:
        lines.append(f"  … and {len(found.rules) - _MOST_RULES} more: --json has them all")
    if not found.rules:
        lines.append("  none")
    return [*lines, *(f"! {note}" for note in found.notes)]


def _rule(one: Counted) -> list[str]:
    comment = _COMMENT.search(one.rule)
    said = f"  ({comment[1]})" if comment and comment[1] else ""
    rule = _COMMENT.sub("", one.rule).replace("-m tcp ", "").strip()
    return textwrap.wrap(
        f"{one.packets:>5} {one.table} {one.chain} {rule}{said}",
        WIDTH,
        subsequent_indent="        ",
        break_on_hyphens=False,
    )
