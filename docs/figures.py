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
#: The load of the usual comparison, that of `make bench`.
USUAL = {"path": "/api/products", "keepalive": False}
#: The task that measures each question, in the order of the table.
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
        """Name the settings that differ from those of `make bench`; empty when none does."""
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
    chosen: dict[tuple[str, str], Result] = {}
    read = [_read(file) for file in results.glob("*.json")]
    for result in sorted((result for result in read if result), key=lambda result: result.started):
        if result.name in QUESTIONS and not result.document.get("not_alike"):
            chosen[result.name, result.settings] = result
    order = list(QUESTIONS)
    return sorted(chosen.values(), key=lambda result: (order.index(result.name), result.settings))


def usual(results: Iterable[Result]) -> Result:
    """Give the comparison for docs/benchmark.md. Raises: NoResult."""
    compared = [result for result in results if result.name == "compare"]
    if not compared:
        raise NoResult("bench/results: holds no comparison; run make bench")
    return next((result for result in compared if not result.settings), compared[0])


def headline(result: Result) -> str:
    """Give a comparison's date, machine, table and how to read it, for docs/benchmark.md."""
    intro = _wrapped(f"{_kept(result)}; more in [figures](#figures).")
    return "\n".join([intro, "", _table(result), "", _wrapped(READ)])


def turns(results: Iterable[Result]) -> str:
    """Give the newest windows of both worlds in turn, for docs/benchmark.md."""
    own = [result for result in results if result.name == "turns"]
    if not own:
        return "None is kept yet: run `invoke bench.turns`."
    result = next((result for result in own if not result.settings), own[0])
    table, cut, _ = _table(result).partition("\n\nAlike but for:")
    return "\n".join([_wrapped(f"{_kept(result)}."), "", table + ("\n```" if cut else "")])


def summary(results: Iterable[Result]) -> str:
    """Give the newest `bench.turns` in three lines, for the README."""
    own = [result for result in results if result.name == "turns" and not result.settings]
    if not own:
        return "None is kept yet: run `invoke bench.turns`."
    result = own[0]
    differences = {
        (cost["first"], cost["second"]): cost for cost in result.document["result"]["differences"]
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
    read = [result for result in map(_read, results.glob("*-scale.json")) if result]
    if not read:
        return "None is kept yet: run `invoke check.scale`."
    result = max(read, key=lambda result: result.started)
    intro = f"{_measured(result)}. Kept [here](../bench/results/{result.page.name})."
    return "\n".join([_wrapped(intro), "", _table(result)])


def _kept(result: Result) -> str:
    """Say for the README when and where two worlds were compared, and where that is kept."""
    where = ", ".join(filter(None, [f"Docker {result.environment['docker']}", result.settings]))
    return f"{_measured(result)}, {where}. Kept [here](../bench/results/{result.page.name})"


def _measured(result: Result) -> str:
    machine = result.environment
    return (
        f"Measured {result.started:%Y-%m-%d %H:%M} UTC on {machine['cores']} cores "
        f"({machine['cpu']}), kernel {machine['kernel']}, {machine['os']}"
    )


def _table(result: Result) -> str:
    block = re.search(r"^```\w*\n(.*?)^```$", result.page.read_text(), flags=re.M | re.S)
    if block is None:
        raise NoResult(f"{result.page.name}: holds no table; run make bench")
    return f"```text\n{block[1]}```"


def figures(results: list[Result]) -> str:
    """Give one line for each question: what was measured, or how to measure it."""
    lines = ["| task | measured | when, commit |", "|---|---|---|"]
    for name, task in QUESTIONS.items():
        own = [result for result in results if result.name == name]
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
            (HERE / "benchmark.md", "RESULT"): headline(usual(results)),
            (HERE / "benchmark.md", "FIGURES"): figures(results),
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


def _line(task: str, result: Result) -> str:
    asked = f"`{task}`{', ' if result.settings else ''}{result.settings}"
    when = f"[{result.started:%Y-%m-%d %H:%M}](../bench/results/{result.page.name})"
    sentences = " ".join(_sentences(result)).replace("|", "\\|")
    return f"| {asked} | {sentences} | {when}, {result.environment['revision']} |"


def _sentences(result: Result) -> Iterator[str]:
    """Give a result's sentences, a comparison's with its figures before."""
    document = result.document
    if document["name"] == "turns":
        for cost in document["result"]["differences"]:
            rate, host = (_interval(cost[quantity]) for quantity in ("rate", "host"))
            yield (
                f"{cost['first']} over {cost['second']}: requests per second {rate}, CPU time "
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


def _interval(ratio: dict[str, float]) -> str:
    ends = [
        f"{(ratio[end] - 1) * 100:+.1f} %".replace("-", "−") for end in ("estimate", "low", "high")
    ]
    if ratio["low"] <= 1 <= ratio["high"]:
        return f"no difference found ({ends[1]} to {ends[2]})"
    return f"{ends[0]} ({ends[1]} to {ends[2]})"


def _machine(result: Result) -> str:
    machine = result.environment
    return (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['os']}, Docker {machine['docker']}"
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
