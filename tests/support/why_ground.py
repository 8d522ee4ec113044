"""A running world in which causes are planted: its names and addresses, a shell, and `why`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from twinstack.observe.why.explanation import Explanation, explain
from twinstack.observe.why.gather import gather
from twinstack.observe.why.question import parse
from twinstack.policy.permissions import addresses
from twinstack.world import LocalWorld

Shell = Callable[[str], object]
_BACK_WITHIN_S = 20.0


@dataclass(frozen=True)
class Ground:
    """A running world, and a shell of its host."""

    world: LocalWorld
    shell: Shell

    def joined(self, name: str, towards: str = "") -> tuple[str, str]:
        """Give the segment and address by which a replica talks to another."""
        plan = self.world.plan
        own = addresses(plan.replica(name), self.world.name)
        met = plan.replica(towards or name).segment
        segment, address = next((pair for pair in own if pair[0] == met), own[0])
        return segment, str(address)

    def address(self, name: str, towards: str = "") -> str:
        return self.joined(name, towards)[1]

    def bridge(self, name: str, towards: str = "") -> str:
        return self.world.plan.segment(self.joined(name, towards)[0]).bridge_in(self.world.name)

    def gateway(self, name: str, towards: str = "") -> str:
        segment = self.world.plan.segment(self.joined(name, towards)[0])
        return str(segment.gateway_in(self.world.name))

    def end(self, name: str, towards: str = "") -> str:
        """Give the host's end of the link by which a replica talks to another."""
        return self._link("host end", name, towards)

    def inside(self, name: str, towards: str = "") -> str:
        """Give the name of that link in the replica's namespace."""
        return self._link("inside", name, towards)

    def _link(self, kind: str, name: str, towards: str) -> str:
        wanted = (kind, name, self.joined(name, towards)[0])
        found = ((link.kind, link.replica, link.segment, link.name) for link in self.world.links())
        return next(link for *whose, link in found if tuple(whose) == wanted)

    def enter(self, name: str) -> str:
        """Give the words that run a command in a replica's network namespace."""
        return f"nsenter --net={self.world.namespaces()[name]}"

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
