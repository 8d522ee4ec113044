"""The ways to bring a plan's network up that are compared, and the files that each needs.

`prepare` writes the files of a size into a directory; `Contender.begin` starts a run of one:
`up` then `down`, each giving its own time. All act on the host that the caller is in.
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
from twinstack.stack import REPOSITORY

OURS, FLOOR, SHELL, MININET = "twinstack", "floor", "shell", "mininet"
_TIMEOUT_S = 900.0

#: Milliseconds by what they were spent on; "total" is what counts, "cpu" the CPU time of it,
#: "process" what starting and ending the program took beside it.
Figures = dict[str, float]


class RaceRun(Protocol):
    """One contender, going up and down once. Raises: StepFailed."""

    def up(self) -> Figures: ...

    def down(self) -> Figures: ...


@dataclass(frozen=True, slots=True)
class Contender:
    """One way; `begin` starts a run of a size."""

    name: str
    begin: Callable[[int], RaceRun]


@dataclass(frozen=True, slots=True)
class TwoCommands:
    """A run of two programs, which print their own times."""

    up_words: tuple[str, ...]
    down_words: tuple[str, ...]
    timed: bool = False  # they print none: we take it

    def up(self) -> Figures:
        return self._run(self.up_words)

    def down(self) -> Figures:
        return self._run(self.down_words)

    def _run(self, words: tuple[str, ...]) -> Figures:
        start = time.monotonic()
        done = process.run(words, timeout_s=_TIMEOUT_S, directory=REPOSITORY)
        wall_ms = (time.monotonic() - start) * 1e3
        if self.timed:
            return {"total": wall_ms}
        figures: Figures = json.loads(done.stdout)
        return {**figures, "process": wall_ms - figures["total"]}


class Dialogue:
    """A run of one program that stays up until it reads a line."""

    def __init__(self, words: tuple[str, ...], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def up(self) -> Figures:
        return self._read()

    def down(self) -> Figures:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("down\n")
            self._process.stdin.flush()
            return self._read()
        finally:
            self._process.kill()
            self._process.wait()

    def _read(self) -> Figures:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.kill()
            raise StepFailed(MININET, "printed nothing", f"it exited {self._process.wait()}")
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
    files = {
        "spec": spec.spec(plan, names.link_group(instance)),
        "up.rules": spec.rules_up(plan),
        "down.rules": spec.rules_down(plan),
        "up.sh": script(steps),
        "down.sh": scripts.down(steps),
        "hosts": scripts.hosts(steps),
    }
    directory = work / str(namespaces)
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return directory


def twinstack(instance: str) -> Contender:
    """Give twinstack itself, as a user starts it: a process each for up and for down."""
    module = (sys.executable, "-m", "bench.questions.provisioning.ours")
    return _of_two(OURS, lambda what, size: (*module, what, str(size), instance))


def floor(work: Path, program: Path) -> Contender:
    """Give the smallest program that does the same to the kernel."""

    def words(what: str, size: int) -> tuple[str, ...]:
        files = work / str(size)
        return str(program), what, str(files / "spec"), str(files / f"{what}.rules")

    return _of_two(FLOOR, words)


def by_shell(work: Path) -> Contender:
    """Give what `net.plan --script` prints, and its inverse: a process for each command."""
    return _of_two(SHELL, lambda what, size: ("/bin/sh", f"{work}/{size}/{what}.sh"), timed=True)


def by_mininet(work: Path, root: Path) -> Contender:
    """Give Mininet, from a directory that Debian's packages were unpacked into."""
    environment = {
        "PATH": f"{root}/usr/bin:{root}/usr/sbin:{root}/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": f"{root}/usr/lib/python3/dist-packages",
    }
    words = ("/usr/bin/python3", str(REPOSITORY / "bench" / "reference" / "mininet_bridge.py"))
    return Contender(MININET, lambda size: Dialogue((*words, f"{work}/{size}/hosts"), environment))


def _of_two(
    name: str, words: Callable[[str, int], tuple[str, ...]], *, timed: bool = False
) -> Contender:
    """Give a contender of two commands, by direction and size."""
    return Contender(name, lambda size: TwoCommands(words("up", size), words("down", size), timed))
