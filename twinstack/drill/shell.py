"""Run a drill's commands as a student would: in a shell of the host of the world."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass

from twinstack.drill.ground import AnyWorld
from twinstack.errors import StepFailed
from twinstack.faults import drill_record


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell on the host of a world. Each command ends after a while, and with its caller."""

    prefix: tuple[str, ...] = ()

    @classmethod
    def of(cls, world: AnyWorld) -> Shell:
        """Give the shell of a world's host, whose `docker` speaks to the world's engine."""
        host = world.host_namespace
        enter = ("nsenter", f"--net={host}") if host else ()
        engine = getattr(world, "engine", None)
        return cls((*enter, *(("env", f"DOCKER_HOST={engine.url}") if engine else ())))

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        return drill_record.run(command, self.prefix)

    def do(self, command: str) -> None:
        """Run a command. Raises: StepFailed when it exits non-zero."""
        done = self.run(command)
        if done.returncode:
            cause = (done.stderr or done.stdout).strip()[-500:] or "it printed nothing"
            raise StepFailed(command, f"exited {done.returncode}", cause)

    def holds(self, command: str) -> bool:
        """Tell whether a command exits 0."""
        return self.run(command).returncode == 0

    def enter(self, namespace: object) -> str:
        """Write the words that enter a network namespace."""
        return shlex.join(["nsenter", f"--net={namespace}"]) if namespace else ""
