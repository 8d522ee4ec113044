"""Fill the places for figures in README.md and the pages of docs/ from the newest results.

Run it after a benchmark: .venv/bin/python -m docs.figures. Of each question the newest result
under bench/results/ is taken; one that was forced on unlike worlds is not a figure.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE.parent / "bench" / "results"
WIDTH = 100
#: The comparison that stands for all: what `make bench` does.
USUAL = {"path": "/api/products", "keepalive": False}
#: How to ask again where nothing was asked yet, in the order of the table.
QUESTIONS = {
    "compare": "bench",
    "turns": "bench.turns",
    "aa-net": "bench --aa net",
    "aa-docker": "bench --aa docker",
    "layers": "bench.layers",
    "chain": "bench.chain",
    "gateways": "bench.gateways",
    "startup": "bench.startup",
}
#: The README's three lines: a title, and which two entry points it compares.
_SUMMARY = {
    "**Docker over namespaces**": ("docker", "namespaces"),
    "**Docker's published port (docker-proxy) over its bridge address**": (
        "docker :8088",
        "docker",
    ),
    "**Namespaces over themselves**, the method's own error": ("namespaces too", "namespaces"),
}
READ = (
    "Read the sentences below the table before its rates: where an interval contains no "
    "difference, these rounds did not tell the worlds apart, however far apart the medians lie."
)


class NoResult(LookupError):
    """There is no comparison to show."""


@dataclass(frozen=True, slots=True)
class Result:
    """One kept result: the page that shows it, and its document."""

    page: Path
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def started(self) -> datetime:
        return datetime.fromisoformat(self.document["started"])

    @property
    def environment(self) -> dict[str, Any]:
        return dict(self.document["environment"])

    @property
    def settings(self) -> str:
        """Say in what it differs from what `make bench` does; empty when in nothing."""
        load = self.document.get("load", USUAL)
        words = [
            "" if self.environment["shape"] == "flat" else f"shape {self.environment['shape']}",
            "" if load["path"] == USUAL["path"] else f"`{load['path']}`",
            "connections kept" if load["keepalive"] else "",
            "without limits" if "none" in self.environment["limits"].values() else "",
        ]
        return ", ".join(word for word in words if word)


def newest(results: Path) -> list[Result]:
    """Give the newest result of each question and setting, in the order of the questions."""
    found: dict[tuple[str, str], Result] = {}
    read = [_read(file) for file in results.glob("*.json")]
    for one in sorted((one for one in read if one), key=lambda one: one.started):
        if one.name in QUESTIONS and not one.document.get("not_alike"):
            found[one.name, one.settings] = one
    order = list(QUESTIONS)
    return sorted(found.values(), key=lambda one: (order.index(one.name), one.settings))


def usual(found: Iterable[Result]) -> Result:
    """Give the comparison for docs/benchmark.md. Raises: NoResult."""
    compared = [one for one in found if one.name == "compare"]
    if not compared:
        raise NoResult("bench/results: holds no comparison; run make bench")
    return next((one for one in compared if not one.settings), compared[0])


def headline(one: Result) -> str:
    """Give a comparison's date, machine, table and how to read it, for docs/benchmark.md."""
    intro = _wrapped(f"{_kept(one)}; more in [figures](#figures).")
    return "\n".join([intro, "", _table(one), "", _wrapped(READ)])


def turns(found: Iterable[Result]) -> str:
    """Give the newest windows of both worlds in turn, for docs/benchmark.md."""
    own = [one for one in found if one.name == "turns"]
    if not own:
        return "None is kept yet: run `invoke bench.turns`."
    one = next((one for one in own if not one.settings), own[0])
    table, cut, _ = _table(one).partition("\n\nAlike but for:")
    return "\n".join([_wrapped(f"{_kept(one)}."), "", table + ("\n```" if cut else "")])


def summary(found: Iterable[Result]) -> str:
    """Give the newest `bench.turns` in three lines, for the README."""
    own = [one for one in found if one.name == "turns" and not one.settings]
    if not own:
        return "None is kept yet: run `invoke bench.turns`."
    result = own[0]
    differences = {
        (one["first"], one["second"]): one for one in result.document["result"]["differences"]
    }
    lines = [
        f"- {title}: {_summed(differences[pair])}."
        for title, pair in _SUMMARY.items()
        if pair in differences
    ]
    page = f"[Measured {result.started:%Y-%m-%d}](bench/results/{result.page.name})"
    where = f"95 % intervals in brackets. {page} on {_machine(result)}"
    more = "[all figures](docs/benchmark.md#figures)."
    return "\n".join([*map(_item, lines), "", _wrapped(f"{where}; {more}")])


def _summed(difference: dict[str, Any]) -> str:
    """Say by how much two entry points differ; only the interval where it contains zero."""
    rate, host = difference["rate"], difference["host"]
    percent = [(rate[end] - 1) * 100 for end in ("estimate", "low", "high")]
    cpu_us = [(host[end] - 1) * difference["host_us"] for end in ("estimate", "low", "high")]
    return (
        f"requests per second {_estimate(percent, '.1f', '%')}, "
        f"host CPU per request {_estimate(cpu_us, '.0f', 'µs')}"
    )


def _estimate(values: list[float], form: str, unit: str) -> str:
    middle, low, high = (f"{value:+{form}}".replace("-", "−") for value in values)
    if values[1] <= 0 <= values[2]:
        return f"no difference found [{low}, {high} {unit}]"
    return f"{middle} {unit} [{low}, {high}]"


def _item(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")


def scale(results: Path) -> str:
    """Give the newest race of `check.scale` with its machine and table, for docs/scale.md."""
    read = [one for one in map(_read, results.glob("*-scale.json")) if one]
    if not read:
        return "None is kept yet: run `invoke check.scale`."
    one = max(read, key=lambda one: one.started)
    intro = f"{_measured(one)}. Kept [here](../bench/results/{one.page.name})."
    return "\n".join([_wrapped(intro), "", _table(one)])


def _kept(one: Result) -> str:
    """Say for the README when and where two worlds were compared, and where that is kept."""
    where = ", ".join(filter(None, [f"Docker {one.environment['docker']}", one.settings]))
    return f"{_measured(one)}, {where}. Kept [here](../bench/results/{one.page.name})"


def _measured(one: Result) -> str:
    there = one.environment
    return (
        f"Measured {one.started:%Y-%m-%d %H:%M} UTC on {there['cores']} cores ({there['cpu']}), "
        f"kernel {there['kernel']}, {there['os']}"
    )


def _table(one: Result) -> str:
    block = re.search(r"^```\w*\n(.*?)^```$", one.page.read_text(), flags=re.M | re.S)
    if block is None:
        raise NoResult(f"{one.page.name}: holds no table; run make bench")
    return f"```text\n{block[1]}```"


def figures(found: list[Result]) -> str:
    """Give one line for each question: what was measured, or how to measure it."""
    lines = ["| task | measured | when, commit |", "|---|---|---|"]
    for name, task in QUESTIONS.items():
        own = [one for one in found if one.name == name]
        lines += [_line(task, one) for one in own]
        if not own:
            lines.append(f"| `{task}` | see `bench/results` | |")
    machines = sorted({_machine(one) for one in found})
    there = _wrapped(f"On {'; '.join(machines)}.") if machines else ""
    return "\n".join([*lines, *(["", there] if there else [])])


def filled(text: str, place: str, content: str) -> str:
    """Put the content between a page's marks. Raises: ValueError where they lack."""
    begin, end = f"<!-- {place} -->\n", f"\n<!-- /{place} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no place called {place}")
    return f"{before}{begin}{content}{end}{after}"


def main() -> None:
    """Fill every place."""
    found = newest(RESULTS)
    try:
        contents = {
            (HERE.parent / "README.md", "SUMMARY"): summary(found),
            (HERE / "benchmark.md", "TURNS"): turns(found),
            (HERE / "benchmark.md", "RESULT"): headline(usual(found)),
            (HERE / "benchmark.md", "FIGURES"): figures(found),
            (HERE / "scale.md", "SCALE"): scale(RESULTS),
        }
    except NoResult as error:
        sys.exit(str(error))
    for (page, place), content in contents.items():
        page.write_text(filled(page.read_text(encoding="utf-8"), place, content), encoding="utf-8")


def _read(file: Path) -> Result | None:
    page = file.with_suffix(".md")
    document = json.loads(file.read_text(encoding="utf-8"))
    return Result(page, document) if page.is_file() else None


def _line(task: str, one: Result) -> str:
    asked = f"`{task}`{', ' if one.settings else ''}{one.settings}"
    when = f"[{one.started:%Y-%m-%d %H:%M}](../bench/results/{one.page.name})"
    said = " ".join(_said(one)).replace("|", "\\|")
    return f"| {asked} | {said} | {when}, {one.environment['revision']} |"


def _said(one: Result) -> Iterator[str]:
    """Give a result's sentences, a comparison's with its figures before."""
    document = one.document
    if document["name"] == "turns":
        for found in document["result"]["differences"]:
            rate, host = (_interval(found[quantity]) for quantity in ("rate", "host"))
            yield (
                f"{found['first']} over {found['second']}: requests per second {rate}, CPU time "
                f"a request on the whole host {host}."
            )
        return
    if "contrasts" not in document:
        # Rows of a table have columns; a sentence has single blanks. It may go over several lines.
        yield from (line.strip() for line in document["said"] if "  " not in line.strip())
        return
    first, second = document["rows"][:2]
    load = document["load"]
    yield (
        f"{document['rounds']} rounds of {load['requests']} requests, {load['concurrency']} at "
        f"once: {first['name']} {first['rate']['median']:.0f} req/s and "
        f"{first['cpu_us_per_request']:.0f} µs of CPU a request, {second['name']} "
        f"{second['rate']['median']:.0f} and {second['cpu_us_per_request']:.0f}."
    )
    yield from (contrast["sentence"] for contrast in document["contrasts"])
    if not document["succeeded"]:
        yield "Some requests FAILED."


def _interval(found: dict[str, float]) -> str:
    ends = [
        f"{(found[end] - 1) * 100:+.1f} %".replace("-", "−") for end in ("estimate", "low", "high")
    ]
    if found["low"] <= 1 <= found["high"]:
        return f"cannot be told apart ({ends[1]} to {ends[2]})"
    return f"{ends[0]} ({ends[1]} to {ends[2]})"


def _machine(one: Result) -> str:
    there = one.environment
    return f"{there['cores']} cores ({there['cpu']}), {there['os']}, Docker {there['docker']}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
