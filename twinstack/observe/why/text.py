"""An answer as text of 80 columns. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from twinstack.observe.why.explanation import Explanation, Hop, JudgedBy

WIDTH = 80
_SEEN = {True: "yes", False: "no", None: ""}


def text(answer: Explanation) -> str:
    """Write the verdict first, then the hops, the rules, and what else was seen."""
    verdict = "passes" if answer.passes else "does not pass"
    lines = [
        f"{answer.source} to {answer.destination} in the {answer.world} world: {verdict}",
        *_wrapped(answer.sentence, "  "),
    ]
    if answer.remedy:
        lines += _wrapped(f"fix: {answer.remedy}", "  ")
    places = max(len(hop.place) for hop in answer.hops)
    lines += ["", f"  {'hop':<{places}}  request  answer"]
    for hop in answer.hops:
        lines += _hop(hop, places)
    lines += _part("Rules that decided", map(_rule, answer.rules))
    lines += _part("NAT", answer.rewrites)
    lines += _part("Connection tracking", answer.tracked)
    lines += _part("Dropped by the kernel", answer.drops)
    lines += _part("Not known here", answer.lacking)
    return "\n".join(lines)


def _hop(hop: Hop, places: int) -> Iterator[str]:
    mark = "X" if hop.stops else " "
    seen = f"{_SEEN[hop.request]:<7}  {_SEEN[hop.answer]:<6}"
    yield f"{mark} {hop.place:<{places}}  {seen}".rstrip()
    yield from _wrapped(hop.detail, "    ")


def _rule(rule: JudgedBy) -> str:
    stands = f" ({rule.stands_for})" if rule.stands_for else ""
    return f"{rule.where}: {rule.rule}: {rule.verdict}{stands}"


def _part(title: str, content: Iterable[str]) -> list[str]:
    rows = [line for words in content for line in _wrapped(words, "  ")]
    return ["", title, *rows] if rows else []


def _wrapped(words: str, indent: str) -> list[str]:
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
