"""Explanations as an SVG picture: each world's way from top to bottom, side by side. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from twinstack.observe.svg import STYLE, Box, document, line, rect, text
from twinstack.observe.why.explanation import Explanation, Hop
from twinstack.printable import cut

_ROW, _TOP, _MARGIN, _PANEL, _LETTERS = 40, 74, 16, 470, 66
_STYLE = STYLE + (
    "text{font:12px ui-monospace,monospace}.passed{fill:#1b7f4b}.stop{fill:#c02b2b}"
    ".unseen{fill:#9aa5b4}.way{stroke:#9aa5b4;stroke-width:2}"
    "@media (prefers-color-scheme:dark){.passed{fill:#58c98b}.stop{fill:#ff7b72}"
    ".unseen{fill:#6b7788}.way{stroke:#6b7788}}"
)


def picture(answers: Sequence[Explanation]) -> str:
    """Draw each answer's way; a mark shows where packets were seen, and where it stops."""
    rows = max(len(answer.hops) for answer in answers)
    parts: list[str] = []
    for number, answer in enumerate(answers):
        parts += _panel(answer, _MARGIN + number * _PANEL)
    verdicts = (
        f"{answer.world}: {'passes' if answer.passes else answer.sentence}" for answer in answers
    )
    return document(
        parts,
        title=f"{answers[0].source} to {answers[0].destination}: {'; '.join(verdicts)}",
        height=_TOP + rows * _ROW + _MARGIN,
        width=_PANEL * len(answers) + _MARGIN,
        style=_STYLE,
    )


def _panel(answer: Explanation, left: int) -> list[str]:
    verdict = "passes" if answer.passes else f"does not pass: {answer.cause}"
    ends = f"{answer.source} to {answer.destination}, {answer.world} world"
    parts = [
        text(left, 24, ends, "name"),
        text(left, 42, verdict, "passed" if answer.passes else "stop"),
    ]
    bottom = _TOP + (len(answer.hops) - 1) * _ROW
    parts.append(line(left + 8, _TOP, left + 8, bottom, "way"))
    for number, hop in enumerate(answer.hops):
        top = _TOP + number * _ROW
        before = answer.hops[:number]
        stopped = any(each.stops or each.request is False for each in before)
        parts.append(rect(Box(left + 2, top - 6, 12, 12), _kind(hop, stopped), radius=6))
        parts.append(text(left + 26, top + 2, hop.place, "name"))
        parts.append(text(left + 26, top + 17, cut(hop.detail, _LETTERS), "dim"))
    return parts


def _kind(hop: Hop, stopped: bool) -> str:
    """Give a place's colour: behind where it stops only what a ring saw was reached."""
    if hop.stops:
        return "stop"
    return "passed" if hop.request or (hop.request is None and not stopped) else "unseen"
