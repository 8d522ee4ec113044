"""The results that `bench` and the checks kept, as the pages of docs/ choose among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.engine import kept
from bench.engine.kept import Kept
from bench.engine.store import SCHEMA

#: The path of the usual comparison, that of `make bench`.
USUAL = "/api/products"
COMPARISONS = frozenset({"compare", "aa-net", "aa-docker"})
#: Of these an earlier engine's result is shown until they are measured again.
EARLIER = frozenset({"layers"})
#: The task that measures each question, in the order of the table.
QUESTIONS = {
    "compare": "bench",
    "turns": "bench --published",
    "aa-net": "bench --aa net",
    "aa-docker": "bench --aa docker",
    "selftest-net": "bench.selftest",
    "seed": "bench.explain --seed",
    "planted": "bench.explain --plant",
    "ladder": "bench.ladder",
    "layers": "bench.layers",
    "chain": "bench.chain",
    "gateways": "bench.gateways",
    "policy-net": "bench.policy",
    "capture-net": "bench.capture",
    "dashboard-net": "bench.dashboard",
    "traffic": "bench.traffic",
    "hosts": "bench.hosts",
    "bystander": "bench.bystander",
    "latency": "bench.latency",
    "startup": "bench.startup",
    "commands": "bench.commands",
}


@dataclass(frozen=True, slots=True)
class Result(Kept):
    """One kept result, and the page that shows it."""

    page: Path

    @property
    def current(self) -> bool:
        return self.schema >= SCHEMA

    @property
    def usable(self) -> bool:
        """Tell whether it is a figure: not forced, not interrupted, of a method that counts."""
        if self.document.get("not_alike"):
            return False
        if self.current:
            return bool(self.document.get("contrasts", True))
        return self.name in EARLIER

    @property
    def question(self) -> str:
        """Name the question: a comparison that has published ports too is another one."""
        if self.name != "compare":
            return self.name
        ways = [each for each in self.document["contrasts"] if not each["first"].endswith(", ab")]
        return "turns" if len(ways) > 1 else "compare"

    @property
    def settings(self) -> str:
        """Name the settings that differ from those of `make bench`; empty when none does."""
        path = str(self.document.get("load", "")).rpartition(", ")[2]
        words = [
            "" if self.environment["shape"] == "flat" else f"shape {self.environment['shape']}",
            f"`{path}`" if self.name in COMPARISONS and path != USUAL else "",
            "without limits" if "none" in self.environment["limits"].values() else "",
        ]
        return ", ".join(word for word in words if word)


def newest(results: Path) -> list[Result]:
    """Give the newest result of each question and setting, in the order of the questions."""
    chosen: dict[tuple[str, str], Result] = {}
    read = [_read(file) for file in results.glob("*.json")]
    for result in sorted((result for result in read if result), key=lambda result: result.started):
        if result.name in QUESTIONS and result.usable:
            chosen[result.question, result.settings] = result
    order = list(QUESTIONS)
    return sorted(
        chosen.values(), key=lambda result: (order.index(result.question), result.settings)
    )


def latest(results: Path, name: str) -> Result | None:
    """Give the newest result of a name, whatever it found."""
    read = [result for result in map(_read, results.glob(f"*-{name}.json")) if result]
    return max(read, key=lambda result: result.started, default=None)


def _read(file: Path) -> Result | None:
    page, result = file.with_suffix(".md"), kept.read(file)
    return Result(result.stem, result.document, page) if page.is_file() else None
