"""Fill the places for figures in README.md and the pages of docs/ from the newest results.

Run it after a benchmark: .venv/bin/python -m docs.figures; it draws their pictures too. Of each
question the newest result under bench/results/ is taken; one that was forced on unlike worlds is
not a figure. What an earlier engine measured counts for few questions, and is named as such.
"""

from __future__ import annotations

import math
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from docs import charts
from docs.kept_results import QUESTIONS, Result, latest, newest

HERE = Path(__file__).parent
RESULTS = HERE.parent / "bench" / "results"
WIDTH = 100
NONE = "No comparison by the present method is kept yet: run `invoke {task}`."
_UNKEPT = "None is kept yet: run `invoke {task}`."
#: The README's line of published ports: a title, and which two entry points it compares.
_PUBLISHED = (
    "**Docker's published port (docker-proxy) over its bridge address**",
    ("docker :8088", "docker"),
)
#: Of the seed's shares, what a sentence calls them.
_LEFT = {"causes away": "what is left then"}
READ = "The verdict opens it; [how to read it](#how-to-read-a-verdict)."


class NoResult(LookupError):
    """There is no table to show."""


def _usual(results: Iterable[Result], *questions: str) -> Result | None:
    """Give the newest result of these questions under the usual settings."""
    own = [each for each in results if each.question in questions and not each.settings]
    return max(own, key=lambda result: result.started, default=None)


def headline(results: Iterable[Result]) -> str:
    """Give the newest comparison's date, machine and whole text, for docs/benchmark.md."""
    result = _usual(results, "compare")
    if result is None:
        return NONE.format(task="bench")
    intro = _wrapped(f"{_kept(result)}; more in [figures](#figures). {READ}")
    return "\n".join([intro, "", _table(result)])


def turns(results: Iterable[Result]) -> str:
    """Give the newest comparison with published ports, for docs/benchmark.md."""
    result = _usual(results, "turns")
    if result is None:
        return NONE.format(task="bench --published")
    table, cut, _ = _table(result).partition("\n\nAlike but for:")
    return "\n".join([_wrapped(f"{_kept(result)}."), "", table + ("\n```" if cut else "")])


def summary(results: list[Result]) -> str:
    """Give the newest comparison in three lines, for the README."""
    result = _usual(results, "compare", "turns")
    if result is None:
        return NONE.format(task="bench")
    first, *others = result.document["contrasts"]
    verdict = result.document["sentence"].removeprefix(f"{_title(first)}, ")
    lines = [
        f"**Docker over namespaces**, {verdict} Requests per second: {_ratio(first, 'rate')}.",
        f"**Where it goes**, CPU time per request: {_ledger(first['ledger'])}.",
    ]
    title, pair = _PUBLISHED
    lines += [
        f"{title}: {_quantities(result, contrast)}."
        for contrast in others
        if (contrast["first"], contrast["second"]) == pair
    ]
    if (seeds := _seed(results)) is not None:
        page = "[docs/seed.md](docs/seed.md)"
        lines.append(f"**The seed's “2x”** is {_shares(seeds.document)}; see {page}.")
    if (same := _usual(results, "aa-net", "aa-docker")) is not None:
        told = _quantities(same, same.document["contrasts"][0])
        lines.append(f"**A world over itself**, the method's own error: {told}.")
    page = f"[Measured {result.started:%Y-%m-%d}](bench/results/{result.page.name})"
    where = f"95 % intervals in brackets. {page} on {_machine(result)}"
    more = "[all figures](docs/benchmark.md#figures)."
    items = (_item(f"- {line}") for line in lines)
    return "\n".join([*items, "", _wrapped(f"{where}; {more}")])


def _ledger(ledger: dict[str, dict[str, float]]) -> str:
    """Name the largest parts of a difference that are no chance, at most three."""
    parts = {
        part: of
        for part, of in ledger.items()
        if part not in {"all", "left over"} and of["low"] * of["high"] > 0
    }
    largest = sorted(parts, key=lambda part: -abs(parts[part]["estimate"]))[:3]
    told = [f"{part} {_span(parts[part])}" for part in largest]
    return f"{_span(ledger['all'])}; {', '.join(told) or 'no part of it can be told from chance'}"


def _span(of: dict[str, float]) -> str:
    return _estimate([of[end] for end in ("estimate", "low", "high")], ".1f", "µs")


def _title(contrast: dict[str, Any]) -> str:
    return contrast["title"] or f"{contrast['first']} over {contrast['second']}"


def _quantities(result: Result, contrast: dict[str, Any]) -> str:
    nouns = {each["name"]: each["noun"] for each in result.document["quantities"]}
    return ", ".join(f"{nouns[name]} {_ratio(contrast, name)}" for name in contrast["ratios"])


def _ratio(contrast: dict[str, Any], name: str) -> str:
    of = contrast["ratios"][name]
    return _estimate([(of[end] - 1) * 100 for end in ("estimate", "low", "high")], ".1f", "%")


def _estimate(values: list[float], form: str, unit: str) -> str:
    middle, low, high = (f"{value:+{form}}".replace("-", "−") for value in values)
    if values[1] <= 0 <= values[2]:
        return f"no difference found [{low}, {high} {unit}]"
    return f"{middle} {unit} [{low}, {high}]"


def _item(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")


def scale(results: Path) -> str:
    """Give the newest race of `check.scale` with its machine and table, for docs/scale.md."""
    result = latest(results, "scale")
    if result is None:
        return _UNKEPT.format(task="check.scale")
    intro = f"{_measured(result)}. Kept [here](../bench/results/{result.page.name})."
    return "\n".join([_wrapped(intro), "", _table(result)])


def engines(results: Path, *, whole: bool) -> str:
    """Say which engines and releases of Debian were tried, and when; `whole`: with each step."""
    result = latest(results, "engines")
    if result is None:
        return f"{'' if whole else '- '}{_UNKEPT.format(task='check.engines')}"
    folder = "../bench/results" if whole else "bench/results"
    link = f"[Tried {result.started:%Y-%m-%d}]({folder}/{result.page.name})"
    if not whole:
        return _item(f"- {link}: {result.document['said'][0]}")
    return "\n".join([f"{link} by `invoke check.engines`:", "", _table(result)])


def pictures(results: Path) -> dict[str, str]:
    """Draw the newest comparison, gap and race, each by its file's name; those that are kept."""
    found = newest(results)
    drawn = (
        ("benchmark.svg", charts.comparison, _usual(found, "compare", "turns")),
        ("seed.svg", charts.gap, _seed(found)),
        ("scale.svg", charts.race, latest(results, "scale")),
    )
    return {name: draw(of.document, f"{_measured(of)}.") for name, draw, of in drawn if of}


def _kept(result: Result) -> str:
    """Say when and where two worlds were compared, and where that is kept."""
    where = ", ".join(filter(None, [_measured(result), result.settings]))
    return f"{where}. Kept [here](../bench/results/{result.page.name})"


def _measured(result: Result) -> str:
    here = result.environment
    docker = f", Docker {here['docker']}" if here["docker"] else ""
    return (
        f"Measured {result.started:%Y-%m-%d %H:%M} UTC on {here['cores']} cores "
        f"({here['cpu']}), kernel {here['kernel']}, {here['os']}{docker}"
    )


def _table(result: Result) -> str:
    block = re.search(r"^```\w*\n(.*?)^```$", result.page.read_text(), flags=re.M | re.S)
    if block is None:
        raise NoResult(f"{result.page.name}: holds no table; run make bench")
    return f"```text\n{block[1]}```"


def seed(results: list[Result]) -> str:
    """Give the newest sharing out of the seed's gap."""
    if (result := _seed(results)) is None:
        return NONE.format(task="bench.explain --seed")
    intro = f"{_measured(result)}. Kept [here](../bench/results/{result.page.name})."
    said = "\n".join(result.document["said"])
    return f"{_wrapped(intro)}\n\n```text\n{said}\n```"


def same(results: Iterable[Result]) -> str:
    """Give the newest comparison of a world with itself in a sentence, for docs/course/."""
    result = _usual(results, "aa-net", "aa-docker")
    if result is None:
        return NONE.format(task="bench --aa net")
    contrast = result.document["contrasts"][0]
    return _wrapped(f"{_title(contrast)}: {_quantities(result, contrast)}. {_kept(result)}.")


def _deeper(content: str) -> str:
    """Let links lead to the same places from a folder of docs/."""
    return content.replace("](../", "](../../")


def _seed(results: Iterable[Result]) -> Result | None:
    """Give the newest result of the seed's conditions, which are never the usual ones."""
    own = [each for each in results if each.question == "seed" and "shares" in each.document]
    return max(own, key=lambda result: result.started, default=None)


def _shares(document: Mapping[str, Any]) -> str:
    """Name the whole gap and its largest causes that are no chance, as factors."""
    whole, *parts = (
        (name, [math.exp(of[end]) for end in ("estimate", "low", "high")])
        for name, of in document["shares"].items()
    )
    sure = sorted((part for part in parts if part[1][1] > 1), key=lambda part: -part[1][0])
    named = [
        f"{_LEFT.get(name, name)} ×{of[0]:.2f} [{of[1]:.2f}, {of[2]:.2f}]"
        for name, of in [("", whole[1]), *sure]
    ]
    return f"{named[0].strip()} here: {', '.join(named[1:])}"


def figures(results: list[Result]) -> str:
    """Give one line for each question: what was measured, or how to measure it."""
    lines = ["| task | measured | when, commit |", "|---|---|---|"]
    for name, task in QUESTIONS.items():
        own = [result for result in results if result.question == name]
        lines += [_line(task, result) for result in own]
        if not own:
            lines.append(f"| `{task}` | see `bench/results` | |")
    machines = sorted({_machine(result) for result in results})
    where = _wrapped(f"On {'; '.join(machines)}.") if machines else ""
    return "\n".join([*lines, *(["", where] if where else [])])


def filled(text: str, place: str, content: str) -> str:
    """Put the content between a page's marks. Raises: ValueError when they are missing."""
    begin, end = f"<!-- {place} -->\n", f"\n<!-- /{place} -->"
    before, opened, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"no place called {place}")
    return f"{before}{begin}{content}{end}{after}"


def main() -> None:
    """Fill every place."""
    results = newest(RESULTS)
    try:
        contents = {
            (HERE.parent / "README.md", "SUMMARY"): summary(results),
            (HERE / "benchmark.md", "TURNS"): turns(results),
            (HERE / "benchmark.md", "RESULT"): headline(results),
            (HERE / "benchmark.md", "FIGURES"): figures(results),
            (HERE.parent / "README.md", "ENGINES"): engines(RESULTS, whole=False),
            (HERE / "docker.md", "ENGINES"): engines(RESULTS, whole=True),
            (HERE / "scale.md", "SCALE"): scale(RESULTS),
            (HERE / "seed.md", "SEED"): seed(results),
            (HERE / "course" / "day-7.md", "SEED"): _deeper(seed(results)),
            (HERE / "course" / "day-7.md", "AA"): _deeper(same(results)),
        }
    except NoResult as error:
        sys.exit(str(error))
    for (page, place), content in contents.items():
        page.write_text(filled(page.read_text(encoding="utf-8"), place, content), encoding="utf-8")
    for name, picture in pictures(RESULTS).items():
        (HERE / name).write_text(picture, encoding="utf-8")


def _line(task: str, result: Result) -> str:
    asked = f"`{task}`{', ' if result.settings else ''}{result.settings}"
    when = f"[{result.started:%Y-%m-%d %H:%M}](../bench/results/{result.page.name})"
    sentences = " ".join(_sentences(result)).replace("|", "\\|")
    method = "" if result.current else ", by an earlier method"
    return f"| {asked} | {sentences} | {when}, {result.environment['revision']}{method} |"


def _sentences(result: Result) -> Iterator[str]:
    """Give a result's sentences: the verdict, then the other contrasts and the bounds."""
    document = result.document
    if "contrasts" not in document:
        # Rows of a table have columns; a sentence has single blanks. It may go over several lines.
        lines = (line.strip(" ─") for line in document["said"])
        yield from (line for line in lines if line and "  " not in line)
        return
    if "shares" in document:
        yield f"As the seed ran: {_shares(document)}."
        return
    if "ladder" in document:
        yield from _ladder(document["ladder"]["totals_us"])
        return
    yield document["sentence"]
    for number, contrast in enumerate(document["contrasts"]):
        first = 0 if number else 1  # the verdict is of the first contrast's first quantity
        rest = dict(list(contrast["ratios"].items())[first:])
        if rest:
            yield f"{_title(contrast)}: {_quantities(result, {**contrast, 'ratios': rest})}."
    for bound in document["bounds"]:
        sign = "at least" if bound["least"] else "below"
        yield f"{bound['contrast']}, {sign} {bound['limit']:.3g} times: {bound['holds']}."
    if document["failed"]:
        yield "Some requests FAILED."


def _ladder(totals: Mapping[str, Any]) -> Iterator[str]:
    """Say what all rungs cost together, and how well they add up to it."""
    for kind, title in (("kept", "A round trip"), ("new", "A new connection")):
        costs = (totals["up"][f"{kind} {of}"]["whole"]["estimate"] for of in ("cpu", "time_us"))
        cpu, time = (f"{cost:+.1f} µs" for cost in costs)
        parts = {
            way: [f"{total['sum']['estimate'] / total['whole']['estimate']:.0%}" for total in own]
            for way in totals
            for own in ([each for name, each in totals[way].items() if name.startswith(kind)],)
        }
        added = ", ".join(f"{' and '.join(own)} {way}" for way, own in parts.items())
        yield f"{title}: {cpu} of CPU, {time}. Its rungs' sum is {added} of that."


def _machine(result: Result) -> str:
    machine = result.environment
    docker = f", Docker {machine['docker']}" if machine["docker"] else ""
    return f"{machine['cores']} cores ({machine['cpu']}), {machine['os']}{docker}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
