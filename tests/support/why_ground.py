"""A running world in which causes are planted: its names and addresses, a shell, and `why`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from twinstack.drill.site import Place
from twinstack.observe.why.explanation import Explanation, explain
from twinstack.observe.why.gather import gather
from twinstack.observe.why.question import parse
from twinstack.world import LocalWorld

Shell = Callable[[str], object]
_BACK_WITHIN_S = 20.0


@dataclass(frozen=True)
class Ground:
    """A running world, and a shell of its host."""

    world: LocalWorld
    shell: Shell

    def place(self, name: str, towards: str = "") -> Place:
        """Give a replica, by the link on which it talks to another."""
        return Place(self.world, name, towards)

    def address(self, name: str, towards: str = "") -> str:
        return self.place(name, towards).address

    def bridge(self, name: str, towards: str = "") -> str:
        return self.place(name, towards).bridge

    def gateway(self, name: str, towards: str = "") -> str:
        return self.place(name, towards).gateway

    def end(self, name: str, towards: str = "") -> str:
        """Give the host's end of the link."""
        return self.place(name, towards).end

    def inside(self, name: str, towards: str = "") -> str:
        """Give the name of the link in the replica's namespace."""
        return self.place(name, towards).link

    def enter(self, name: str) -> str:
        """Give the words that run a command in a replica's network namespace."""
        return self.place(name).enter

    def kill(self, name: str, number: signal.Signals) -> None:
        for process in self.world.processes():
            if process.replica == name:
                os.kill(process.pid, number)

    def ask(self, source: str, destination: str) -> tuple[Explanation, float]:
        """Ask why; the answer, and how long it took in seconds."""
        began = time.monotonic()
        plan, name = self.world.plan, self.world.name
        found = explain(gather(self.world, parse(plan, name, source, destination, "tcp")))
        return found, time.monotonic() - began

    def wait(self, source: str, destination: str) -> None:
        """Wait until a connection passes again."""
        deadline = time.monotonic() + _BACK_WITHIN_S
        while not (found := self.ask(source, destination)[0]).passes:
            assert time.monotonic() < deadline, found.sentence
            time.sleep(0.3)
