"""Read a Dockerfile: instructions, their flags and words, and the stages they make up. Pure.

No well-kept parser installs everywhere: `dockerfile` (BuildKit's own, in Go) has wheels for x86-64
alone, `dockerfile-parse` knows neither flags nor here-documents. This one was compared with the
former. Source: docs.docker.com/reference/dockerfile.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from twinstack.errors import CannotTell

_HEREDOC = re.compile(r"<<(-?)([\"']?)([A-Za-z_][\w.]*)\2")
_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(.+)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?[^}]*\}|(\w+))")
_HEREDOC_KEYWORDS = {"RUN", "COPY", "ADD"}
_KEYWORDS = frozenset({
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
    "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction."""

    keyword: str
    flags: tuple[str, ...]
    text: str
    words: tuple[str, ...] | None  # of its JSON form; None where a shell reads it
    line: int

    @property
    def where(self) -> str:
        return f"line {self.line}"

    @property
    def plain(self) -> str:
        """Give its text, without the quotes and commas of the JSON form."""
        return self.text if self.words is None else " ".join(self.words)

    def flag(self, name: str) -> str | None:
        """Give the value of a flag, "" for one without."""
        for flag in self.flags:
            key, _, value = flag.removeprefix("--").partition("=")
            if key == name:
                return value
        return None

    def commands(self) -> Iterator[list[str]]:
        """Give the simple commands of RUN, CMD, ENTRYPOINT and HEALTHCHECK, as words."""
        if self.words is not None:
            yield list(self.words)
            for word in self.words:
                if re.search(r"\s", word):  # sh -c "…"
                    yield from commands(word)
        else:
            yield from commands(self.text)


@dataclass(frozen=True, slots=True)
class Stage:
    """What one FROM begins."""

    base: str  # the image, with the defaults of ARG
    name: str
    line: int
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A whole Dockerfile."""

    file: str
    directives: tuple[tuple[str, str], ...]
    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    @property
    def instructions(self) -> Iterator[Instruction]:
        """Give every instruction, in the order of the file."""
        yield from self.arguments
        for stage in self.stages:
            yield from stage.instructions

    def of(self, *keywords: str) -> Iterator[Instruction]:
        """Give the instructions of some kinds."""
        return (found for found in self.instructions if found.keyword in keywords)

    def stage(self, name: str) -> Stage | None:
        """Find a stage by its name or number."""
        for number, stage in enumerate(self.stages):
            if name.lower() == stage.name.lower() or name == str(number):
                return stage
        return None

    def shipped(self, target: str = "") -> tuple[Instruction, ...]:
        """Give what makes up the last stage (or `target`), the stages that it stands on first."""
        stage = self.stage(target) if target else self.stages[-1]
        found: list[Instruction] = []
        seen: list[Stage] = []
        while stage is not None and stage not in seen:
            found[:0] = stage.instructions
            seen.append(stage)
            name, before = stage.base.lower(), self.stages[: self.stages.index(stage)]
            stage = next((other for other in before if other.name.lower() == name), None)
        return tuple(found)


def parse(text: str, file: str) -> Dockerfile:
    """Read a Dockerfile. Raises: CannotTell for what is none."""
    lines = text.splitlines()
    directives = tuple(_directives(lines))
    escape = dict(directives).get("escape", "\\")
    found = [_instruction(*line, file=file) for line in _logical_lines(lines, escape)]
    starts = [index for index, each in enumerate(found) if each.keyword == "FROM"]
    if not starts:
        raise CannotTell(file, "cannot be read", "it has no FROM")
    arguments = tuple(found[: starts[0]])
    defaults = dict(argument_of(each) for each in arguments if each.keyword == "ARG")
    stages = []
    for start, end in zip(starts, [*starts[1:], len(found)], strict=True):
        words = found[start].text.split()
        named = len(words) == 3 and words[1].lower() == "as"
        if not words or (len(words) != 1 and not named):
            raise CannotTell(file, "cannot be read", f"line {found[start].line}: FROM what?")
        base, name = _expanded(words[0], defaults), words[2] if named else ""
        stages.append(Stage(base, name, found[start].line, tuple(found[start + 1 : end])))
    return Dockerfile(file, directives, arguments, tuple(stages))


def _expanded(text: str, values: dict[str, str]) -> str:
    """Put in the values of variables; one without a value stays as it is written."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        return values.get(name) or match[2] or match[0]

    return _VARIABLE.sub(value, text)


def argument_of(instruction: Instruction) -> tuple[str, str]:
    """Give the name and the default of an ARG."""
    name, _, value = instruction.text.partition("=")
    return name.strip(), value.strip().strip("\"'")


def commands(script: str) -> Iterator[list[str]]:
    """Split a shell script into simple commands, those within quotes and $(…) too."""
    reader = shlex.shlex(script, posix=True, punctuation_chars=";&|()<>\n")
    reader.whitespace = " \t\r"
    reader.whitespace_split = True
    reader.commenters = ""
    try:
        words = list(reader)
    except ValueError:  # a quote that never ends
        words = re.split(r"\s+", script)
    command: list[str] = []
    for word in [*words, ";"]:
        if word and not set(word) - set(";&|()\n"):
            if command:
                yield command
            command = []
        elif bare := word.lstrip("`$").rstrip("`"):
            command.append(bare)
    for word in words:
        if re.search(r"\s", word.strip()) and word != script:
            yield from commands(word)


def calls_of(command: list[str], programs: Container[str]) -> Iterator[tuple[str, list[str]]]:
    """Find programs anywhere in a command, behind env, xargs or -exec too, with what follows."""
    for index, word in enumerate(command):
        if (program := posixpath.basename(word)) in programs:
            yield program, command[index + 1 :]


def _directives(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give the parser's directives, which stand before anything else, comments too."""
    for line in lines:
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match:
            return
        yield match[1].lower(), match[2].strip()


def _logical_lines(lines: Sequence[str], escape: str) -> Iterator[tuple[str, int]]:
    """Join continued lines and here-documents; drop comments and what is empty."""
    continued = re.compile(re.escape(escape) + r"[ \t]*$")
    index = 0
    while index < len(lines):
        start, text = index + 1, ""
        while index < len(lines):
            line = lines[index]
            index += 1
            if not line.strip() or line.lstrip().startswith("#"):
                if not text:
                    break
                continue
            line = line if text else line.lstrip()
            text += continued.sub("", line)
            if not continued.search(line):
                break
        if not text.strip():
            continue
        if text.split(None, 1)[0].upper() in _HEREDOC_KEYWORDS:
            for tabs, _, end in _HEREDOC.findall(text):
                while index < len(lines):
                    line = lines[index].lstrip("\t") if tabs else lines[index]
                    index += 1
                    if line == end:
                        break
                    text += f"\n{line}"
        yield text.strip(), start


def _instruction(text: str, line: int, *, file: str) -> Instruction:
    word, *more = text.split(None, 1)
    keyword, rest = word.upper(), (more[0] if more else "").strip()
    if keyword not in _KEYWORDS:
        raise CannotTell(file, "cannot be read", f"line {line}: there is no {keyword}")
    if keyword == "ONBUILD":  # it is done later, and judged now
        return _instruction(rest, line, file=file)
    flags = []
    while match := re.match(r"--[a-z][\w-]*(=(\"[^\"]*\"|'[^']*'|\S)*)?(\s+|$)", rest):
        flags.append(match[0].strip())
        rest = rest[match.end() :]
    if keyword == "HEALTHCHECK" and rest[:4].upper() == "CMD ":
        rest = rest[4:].strip()
    return Instruction(keyword, tuple(flags), rest, _json_words(rest), line)


def _json_words(text: str) -> tuple[str, ...] | None:
    try:
        found = json.loads(text) if text.startswith("[") else None
    except ValueError:
        return None
    if isinstance(found, list) and all(isinstance(word, str) for word in found):
        return tuple(found)
    return None
