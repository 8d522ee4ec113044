"""Kept results, read back: by name, and as the history of a question. Of any schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.engine.store import RESULTS, SCHEMA
from twinstack.errors import Missing, Unreadable


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A kept result in one line."""

    result: str  # its files' name
    started: str  # ISO 8601
    format: int  # of its JSON
    commit: str
    machine: str
    verdict: str


@dataclass(frozen=True, slots=True)
class KeptHistory:
    """Kept results, newest last, and why others could not be read."""

    results: tuple[HistoryRow, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """One result as it was kept."""

    stem: str  # its files' name: "20261126T020922Z-turns"
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def started(self) -> datetime:
        return datetime.fromisoformat(self.document["started"])

    @property
    def environment(self) -> dict[str, Any]:
        return dict(self.document.get("environment", {}))

    @property
    def schema(self) -> int:
        return int(self.document.get("format", self.document.get("schema", 0)))

    @property
    def machine(self) -> str:
        here = self.environment
        docker = f", Docker {here['docker']}" if here.get("docker") else ""
        return f"{here.get('cores', '?')} × {here.get('cpu', '?')}{docker}"

    @property
    def sentence(self) -> str:
        """Give its verdict; that of an older schema is named as such."""
        document, older = self.document, self.schema < SCHEMA
        # Rows of a table have columns; a sentence has single blanks, and may go over several lines.
        lines = ["" if "  " in line.strip(" ─") else line for line in document.get("said", ())]
        said = [part for part in "\n".join(lines).split("\n\n") if part.strip(" ─\n")]
        if older:
            said = [each["sentence"] for each in document.get("contrasts", ())] or said
        elif "sentence" in document:
            said = [document["sentence"]]
        return f"older (schema {self.schema}): " * older + " ".join((said or ["?"])[0].split())

    def row(self) -> HistoryRow:
        """Give its line of a history."""
        commit, started = self.environment.get("revision", "unknown"), self.document["started"]
        return HistoryRow(self.stem, started, self.schema, commit, self.machine, self.sentence)


def read(file: Path) -> Kept:
    """Read a JSON document. Raises: Unreadable when it is none of ours; OSError."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        kept = Kept(file.stem, document)
        kept.row()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        cause = f"{type(error).__name__} {error}"
        raise Unreadable(str(file), "is no kept result", cause, "name another") from error
    return kept


def find(word: str, results: Path = RESULTS) -> Kept:
    """Find a result by any of its files, or by the beginning of its name.

    Raises: Missing where there is none, or more than one; Unreadable.
    """
    stem = Path(word).stem
    if stem and (file := Path(word).with_suffix(".json")).is_file():
        return read(file)
    found = [file for file in sorted(results.glob("*.json")) if stem and file.stem.startswith(stem)]
    if len(found) == 1:
        return read(found[0])
    cause = f"{len(found)} results begin with it" if found else f"none in {results} begins with it"
    raise Missing(word or "a result", "cannot be found", cause, 'see "invoke bench.history"')


def history(question: str, results: Path = RESULTS) -> tuple[list[Kept], list[str]]:
    """Give the results of a question, newest last, and why others could not be read.

    "policy" gives policy-net too; an empty question gives all.
    """
    found, unreadable = [], []
    for file in sorted(results.glob("*.json")):  # named by their time
        try:
            kept = read(file)
        except (Unreadable, OSError) as error:
            unreadable.append(str(error))
            continue
        if not question or kept.name == question or kept.name.startswith(f"{question}-"):
            found.append(kept)
    return found, unreadable


def lines(found: list[Kept]) -> str:
    """Write a history: a line a result."""
    rows = ((kept.started, kept.row()) for kept in found)
    return "\n".join(
        f"{started:%Y-%m-%d %H:%M}  {row.commit:13}  {row.machine}  {row.verdict}"
        for started, row in rows
    )
