"""The ways to bring a plan's network about that are compared, and the files that each needs.

`prepare` writes the files of a size into a directory; `Contender.begin` gives a run of one of
them: `up` then `down`, each giving its own time. All act on the host that the caller is in.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.questions.provisioning import scripts, spec, topologies
from twinstack.errors import Missing, StepFailed
from twinstack.linux import process
from twinstack.model import names
from twinstack.namespaces.steps import network_steps, script

OURS, FLOOR, SHELL, MININET = "twinstack", "floor", "shell", "mininet"
_REPOSITORY = Path(__file__).resolve().parents[3]
_BOUND_S = 900.0

#: Milliseconds by what they were spent on; "total" is what counts, "cpu" what the processors did
#: of it, "process" what starting and ending the program took beside it.
Figures = dict[str, float]


class Run(Protocol):
    """One contender's going up and down once."""

    def up(self) -> Figures:
        """Bring it about. Raises: StepFailed."""

    def down(self) -> Figures:
        """Take it down. Raises: StepFailed."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way; `begin` starts a run of a size."""

    name: str
    begin: Callable[[int], Run]


@dataclass(frozen=True, slots=True)
class Commands:
    """A run of two programs. They time themselves, except where `timed` says that we do."""

    going_up: tuple[str, ...]
    going_down: tuple[str, ...]
    timed: bool = False

    def up(self) -> Figures:
        return self._run(self.going_up)

    def down(self) -> Figures:
        return self._run(self.going_down)

    def _run(self, words: tuple[str, ...]) -> Figures:
        start = time.monotonic()
        done = process.run(words, timeout_s=_BOUND_S, directory=_REPOSITORY)
        wall = (time.monotonic() - start) * 1e3
        if self.timed:
            return {"total": wall}
        figures: Figures = json.loads(done.stdout)
        return {**figures, "process": wall - figures["total"]}


class Conversation:
    """A run of one program that stays in between: it goes down when it is given a line."""

    def __init__(self, words: tuple[str, ...], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def up(self) -> Figures:
        return self._hear()

    def down(self) -> Figures:
        try:
            self._say("down\n")
            found = self._hear()
        finally:
            self._process.kill()
            self._process.wait()
        return found

    def _say(self, line: str) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _hear(self) -> Figures:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            self._process.kill()
            code = self._process.wait()
            raise StepFailed(MININET, "said nothing", f"it exited {code}")
        return dict(json.loads(line))


def compile_floor(into: Path) -> Path:
    """Compile the floor; gives the program. Raises: Missing without a compiler; StepFailed."""
    program = into / "floor"
    source = Path(__file__).with_name("floor.c")
    try:
        process.run(["cc", "-O2", "-Wall", "-Werror", "-o", str(program), str(source)])
    except Missing as error:
        raise Missing(
            "bench/questions/provisioning/floor.c",
            "cannot be compiled",
            "there is no C compiler",
            'install one ("apt-get install gcc libc6-dev")',
        ) from error
    return program


def prepare(work: Path, namespaces: int, instance: str) -> Path:
    """Write the files of one size; gives their directory. Raises: TopologyError."""
    plan = topologies.plan(namespaces, instance)
    steps = network_steps(plan)
    place = work / str(namespaces)
    place.mkdir()
    group = names.link_group(instance)
    files = {
        "spec": spec.spec(plan, group),
        "up.rules": spec.rules_up(plan),
        "down.rules": spec.rules_down(plan),
        "up.sh": script(steps),
        "down.sh": scripts.down(steps),
        "hosts": scripts.hosts(steps),
    }
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    return place


def ours(instance: str) -> Contender:
    """Give twinstack itself, as a user starts it: a process each for up and for down."""
    words = (sys.executable, "-m", "bench.questions.provisioning.ours")

    def begin(namespaces: int) -> Run:
        rest = (str(namespaces), instance)
        return Commands((*words, "up", *rest), (*words, "down", *rest))

    return Contender(OURS, begin)


def floor(work: Path, program: Path) -> Contender:
    """Give the smallest program that does the same to the kernel."""

    def begin(namespaces: int) -> Run:
        place = work / str(namespaces)
        spec_file = str(place / "spec")
        return Commands(
            (str(program), "up", spec_file, str(place / "up.rules")),
            (str(program), "down", spec_file, str(place / "down.rules")),
        )

    return Contender(FLOOR, begin)


def by_shell(work: Path) -> Contender:
    """Give what `net.plan --script` prints, and its inverse: a process for each command."""

    def begin(namespaces: int) -> Run:
        place = work / str(namespaces)
        return Commands(
            ("/bin/sh", str(place / "up.sh")), ("/bin/sh", str(place / "down.sh")), timed=True
        )

    return Contender(SHELL, begin)


def by_mininet(work: Path, root: Path) -> Contender:
    """Give Mininet, from a directory that Debian's packages were unpacked into."""
    environment = {
        "PATH": f"{root}/usr/bin:{root}/usr/sbin:{root}/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": f"{root}/usr/lib/python3/dist-packages",
    }
    program = _REPOSITORY / "bench" / "reference" / "mininet_bridge.py"

    def begin(namespaces: int) -> Run:
        words = ("/usr/bin/python3", str(program), str(work / str(namespaces) / "hosts"))
        return Conversation(words, environment)

    return Contender(MININET, begin)
