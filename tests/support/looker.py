"""Observe a sandbox's namespace world, from one process inside it.

Each of Invoke's tasks takes a second to start, and these tests observe two dozen times. The tasks'
own options are tested by running the tasks, once each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from tests.support.project import ROOT
from tests.support.sandbox import Sandbox


@dataclass(frozen=True)
class Looker:
    """The process, from outside."""

    process: subprocess.Popen[str]

    def _ask(self, word: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def connections(self) -> Any:
        """Take a snapshot as `invoke conntrack --once` does, as JSON and as text."""
        return self._ask("conntrack")

    def listen(self) -> None:
        """Begin to receive the kernel's events."""
        self._ask("listen")

    def events(self) -> Any:
        """Count the events since the last call."""
        return self._ask("events")

    def topology(self) -> Any:
        """Give every drawing of `invoke topology`, by its format."""
        return self._ask("topology")


@contextmanager
def looker(host: Sandbox) -> Iterator[Looker]:
    """Run a looker in a host while the block lasts."""
    words = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.support.looker"]
    process = subprocess.Popen(
        host.command(words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=host.environment,
    )
    try:
        yield Looker(process)
    finally:
        process.kill()
        process.wait()


def _answers(words: Iterator[str]) -> Iterator[object]:
    from twinstack import stack
    from twinstack.observe.connections import snapshot
    from twinstack.observe.connections.text import text
    from twinstack.observe.picture import collect as picture
    from twinstack.observe.picture import mermaid, model, svg
    from twinstack.observe.picture import text as tree
    from twinstack.printable import plain

    with ExitStack() as kept:
        for word in words:
            world = stack.from_environment().net()
            if word == "conntrack":
                connections = snapshot.take(world)
                yield {"json": plain(connections), "text": text(connections)}
            elif word == "listen":
                counter = kept.enter_context(snapshot.counting_events(None))
                yield None
            elif word == "events":
                yield asdict(counter.receive(0.5))
            else:
                topology = picture.topology(world)
                assert topology is not None
                yield {
                    "json": plain(model.Topologies((topology,))),
                    "text": tree.text([topology]),
                    "svg": svg.picture([topology]),
                    "mermaid": mermaid.mermaid([topology]),
                }


if __name__ == "__main__":
    for answer in _answers(line.strip() for line in sys.stdin):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
