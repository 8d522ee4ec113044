"""A journey as text of 80 columns, alone or two worlds side by side. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from twinstack.observe.journey.report import KINDS, Journey, JourneyStep, Kind, RuleCount
from twinstack.printable import counted, cut

WIDTH = 80
_BAR, _WHAT = 18, 44
_MARKS: dict[Kind, str] = {"hop": "─", "work": "█", "connect": "▒"}
_SIDE_BAR, _SIDE_WHAT = 13, 42
_MAX_RULES = 24
#: A comment, without the mark that ours begin with.
_COMMENT = re.compile(r'-m comment --comment "?(?:twinstack:[a-z0-9-]+ ?)?([^"]*)"? ?')


def text(journeys: Sequence[Journey]) -> str:
    """Write each world's journey; then, of several worlds, their stages beside each other."""
    parts = [_journey(journey) for journey in journeys]
    return "\n\n".join([*parts, table(journeys)] if len(journeys) > 1 else parts)


def _journey(journey: Journey) -> str:
    """Write each step, when it began and what it took; then sums, NAT and rules."""
    legend = ", ".join(f"{_MARKS[kind]} {words}" for kind, words in KINDS)
    lines = [_headline(journey), f"{'at µs':>7} {'took':>7}  {legend}"]
    lines += [_row(step, journey.total_us) for step in journey.steps]
    lines += ["", "Where the time went"]
    for kind, words in KINDS:
        took = sum(step.took_us for step in journey.steps if step.kind == kind)
        lines.append(f"{took:>10,.1f} µs {took / journey.total_us:>6.1%}  {words}")
    lines += ["", "NAT rewrote" if journey.rewrites else "NAT rewrote nothing."]
    for rewrite in journey.rewrites:
        lines.append(f"  {rewrite.before_ends}   ({rewrite.after})")
        lines.append(f"    to {rewrite.after_ends}   ({rewrite.until})")
    lines += ["", "Rules that counted meanwhile, and could have counted this (packets)"]
    lines += [line for rule in journey.rules[:_MAX_RULES] for line in _rule(rule)]
    if len(journey.rules) > _MAX_RULES:
        lines.append(f"  … and {len(journey.rules) - _MAX_RULES} more: --json has them all")
    if not journey.rules:
        lines.append("  none")
    return "\n".join([*lines, *(f"! {note}" for note in journey.notes)])


def _headline(journey: Journey) -> str:
    return textwrap.fill(
        f"GET {journey.url} in the {journey.world} world ({journey.shape}): {journey.status}, "
        f"{journey.body_bytes:,} bytes, {journey.total_us:,.0f} µs; "
        f"{counted(journey.packets, 'packet was', 'packets were')} seen "
        f"{counted(journey.sights, 'time')} on {counted(journey.links, 'link')}",
        WIDTH,
    )


def table(journeys: Sequence[Journey]) -> str:
    """Put the stages of all worlds beside each other, in the order of the one with most."""
    worlds = [journey.stages() for journey in journeys]
    order = max((list(stages) for stages in worlds), key=len)
    for stages in worlds:
        for position, name in enumerate(stages):
            if name not in order:  # insert it behind its predecessor in that world
                before = list(stages)[:position]
                order.insert(order.index(before[-1]) + 1 if before else 0, name)
    longest = max((took for stages in worlds for _, took in stages.values()), default=1.0)
    heads = "".join(f"{journey.world + ' µs':>11}" for journey in journeys)
    lines = [f"{'stage':<{_SIDE_WHAT}}{heads}"]
    for name in order:
        cells = "".join(
            f"{stages[name][1]:>11,.0f}" if name in stages else f"{'–':>11}" for stages in worlds
        )
        kind, took_us = max(stages[name] for stages in worlds if name in stages)
        bar = _bar(kind, took_us, longest, _SIDE_BAR)
        lines.append(f"{cut(name, _SIDE_WHAT - 1):<{_SIDE_WHAT}}{cells}  {bar}".rstrip())
    totals = "".join(f"{journey.total_us:>11,.0f}" for journey in journeys)
    return "\n".join([*lines, f"{'in all':<{_SIDE_WHAT}}{totals}"])


def _row(step: JourneyStep, total_us: float) -> str:
    what = cut("· " * step.depth + step.what, _WHAT)
    begin = min(int(step.at_us / total_us * _BAR), _BAR - 1)
    bar = " " * begin + _bar(step.kind, step.took_us, total_us, _BAR)[: _BAR - begin]
    return f"{step.at_us:>7,.0f} {step.took_us:>7,.1f}  {what:<{_WHAT}} {bar}".rstrip()


def _bar(kind: Kind, took_us: float, scale_us: float, width: int) -> str:
    return _MARKS[kind] * max(1, round(took_us / scale_us * width)) if took_us else ""


def _rule(rule: RuleCount) -> list[str]:
    comment = _COMMENT.search(rule.rule)
    remark = f"  ({comment[1]})" if comment and comment[1] else ""
    words = _COMMENT.sub("", rule.rule).replace("-m tcp ", "").strip()
    return textwrap.wrap(
        f"{rule.packets:>5} {rule.table} {rule.chain} {words}{remark}",
        WIDTH,
        subsequent_indent="        ",
        break_on_hyphens=False,
    )
