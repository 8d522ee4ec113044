"""What `check.engines` tried: the machines, their programs' versions, each step's outcome."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bench.engine.store import KeptResult
from front.tables import columns
from twinstack.printable import counted

OK = "ok"
#: This machine's engine, another's, and another userland.
MACHINES = 3
Kind = Literal["engine", "userland"]


@dataclass(frozen=True, slots=True)
class TriedStep:
    """One step on a machine: `outcome` is ok, or what was wrong."""

    step: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TriedMachine:
    """A machine on which both worlds were brought up, looked at and removed."""

    what: Kind  # what differs from the machine that ran the check
    programs: Mapping[str, str]  # program → version
    steps: tuple[TriedStep, ...]

    @property
    def version(self) -> str:
        return self.programs.get("Docker" if self.what == "engine" else "Debian", "?")

    @property
    def sound(self) -> bool:
        return bool(self.steps) and all(step.outcome == OK for step in self.steps)


@dataclass(frozen=True, slots=True)
class TriedEngines(KeptResult):
    """All machines that were tried, beside the one that tried them."""

    said: tuple[str, ...]  # the lines of `text`
    result: tuple[TriedMachine, ...]


def read(record: Path) -> tuple[TriedMachine, ...]:
    """Read what the check wrote, a machine a line; nothing where it wrote nothing."""
    documents = map(json.loads, record.read_text().splitlines() if record.exists() else ())
    return tuple(
        TriedMachine(each["what"], each["programs"], tuple(TriedStep(**of) for of in each["steps"]))
        for each in documents
    )


def line(machine: TriedMachine) -> str:
    """Write a machine as `read` reads it."""
    return json.dumps(asdict(machine)) + "\n"


def sentence(machines: Sequence[TriedMachine]) -> str:
    """Say what was tried, and how much of it held."""
    named = [f"{program} {_listed(_values(machines, program))}" for program in ("Docker", "Debian")]
    steps = [step for machine in machines for step in machine.steps]
    held = sum(step.outcome == OK for step in steps)
    return f"{', '.join(named)}: {held} of {counted(len(steps), 'step')} as they should be."


def text(machines: Sequence[TriedMachine]) -> str:
    """Write the sentence, the table of steps, and the programs of each machine."""
    rows = [
        (machine.what, machine.version, step.step, step.outcome, f"{step.seconds:.1f}")
        for machine in machines
        for step in machine.steps
    ]
    steps = columns(("what", "version", "step", "outcome", "s"), rows)
    names = dict.fromkeys(name for machine in machines for name in machine.programs)
    header = ("program", *(f"{machine.what} {machine.version}" for machine in machines))
    versions = [(name, *(machine.programs.get(name, "") for machine in machines)) for name in names]
    return "\n\n".join((sentence(machines), steps, columns(header, versions)))


def _values(machines: Iterable[TriedMachine], program: str) -> list[str]:
    versions = (machine.programs.get(program, "?") for machine in machines)
    return list(dict.fromkeys(map(_upstream, versions)))


def _upstream(version: str) -> str:
    """Take Debian's epoch and revision off a version."""
    return re.split("[-+~]", version.rpartition(":")[2])[0]


def _listed(words: Sequence[str]) -> str:
    *head, last = words or ("?",)
    return f"{', '.join(head)} and {last}" if head else last
