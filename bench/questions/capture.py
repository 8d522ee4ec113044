"""What does capturing cost the world that is captured? Uncaptured and captured, in turn.

ab without keep-alive loads the edge while nothing captures, while `traffic.capture` keeps 128 bytes
of each packet on every bridge, while dumpcap does the same, and while every link is captured
whole. Each capture is a process of its own, as its user starts it, before the load and until after.
"""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory

from bench.engine import worlds
from bench.engine.arm import CPU, PROGRAMS, RATE, Arm, Bound, Contrast
from bench.engine.design import require_load
from bench.engine.loads import by_ab
from bench.engine.question import Design, Experiment, Outcome, outcome_of, run
from bench.load.ab import AbLoad
from twinstack.errors import Missing, StepFailed
from twinstack.linux.session import announced, started
from twinstack.model.topology import WorldName
from twinstack.observe.capture import targets
from twinstack.reconcile import Progress
from twinstack.stack import REPOSITORY, Stack
from twinstack.world import Link

OFF, BRIDGES, DUMPCAP, WHOLE = "nobody", "bridges, 128", "dumpcap, 128", "links, whole"
ARMS = (OFF, BRIDGES, DUMPCAP, WHOLE)
#: The most that capturing every bridge may cost, as a part of the requests.
MOST = 0.10
_SNAP = 128
_START_S, _SETTLE_S, _STOP_S = 20.0, 0.3, 30


def ask(
    stack: Stack,
    *,
    world: str,
    how: Design,
    requests: int,
    shape: str | None = None,
    bridges: bool = False,
    progress: Progress,
) -> Outcome:
    """Measure a world with and without captures; `bridges` leaves dumpcap and whole links out.

    Raises: CannotTell; Missing; StepFailed when a capture fails.
    """
    load = AbLoad(requests=requests)
    require_load(load)
    name = worlds.named(world)
    chosen = worlds.ready(stack, name, shape, progress)
    links = chosen.links()
    if not any(link.kind == "bridge" for link in links):
        remedy = f'run "invoke {name}.up"'
        raise Missing(f"the {name} world", "cannot be captured", "it has no bridge", remedy)
    here = [what for what in ARMS if what != DUMPCAP or shutil.which("dumpcap")]
    names = [OFF, BRIDGES] if bridges else here
    captures = Captures(name, links)

    def arms() -> Iterator[Arm]:
        loaded = by_ab(chosen.endpoint(worlds.EDGE), load)
        for what in names:
            yield Arm(what, loaded, name, partial(captures.during, what))

    contrasts = tuple(Contrast(what, OFF) for what in names[1:])
    experiment = Experiment(
        stage=worlds.redeployed([chosen], arms, progress),
        contrasts=contrasts,
        load=f"ab, {requests} new connections a window, {load.path}",
        worlds=[chosen],
        quantities=(CPU, RATE),
        bounds=(Bound(contrasts[0], RATE, 1 - MOST, least=True),),
    )
    with worlds.lifted([chosen]):
        measured = run(experiment, how, progress)
    return outcome_of(measured, f"capture-{name}", chosen.plan, captures.sentences())


@dataclass
class Captures:
    """The captures of a world's links, and what they counted."""

    world: WorldName
    links: Sequence[Link]
    packets: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def during(self, what: str) -> Iterator[Mapping[int, str]]:
        """Capture around a window, into a directory of its own."""
        with TemporaryDirectory(prefix="twinstack-bench-capture-") as folder, ExitStack() as up:
            running = []
            for words, sign in self._commands(what, Path(folder) / "files"):
                capture = started(words, cwd=REPOSITORY, stdout=PIPE, stderr=PIPE)
                running.append(up.enter_context(capture))
                announced("the capture", running[-1], sign, _START_S)
            time.sleep(_SETTLE_S)
            yield {process.pid: PROGRAMS for process in running}
            for process in running:
                self._stop(what, process)

    def _commands(self, what: str, folder: Path) -> Iterator[tuple[list[str], str]]:
        """Give the programs to start, and how the line begins that says each has started."""
        if what in {BRIDGES, WHOLE}:
            options = "--everything --snap 0" if what == WHOLE else f"--snap {_SNAP}"
            words = (
                f"{Path(sys.executable).with_name('invoke')} traffic.capture --json"
                f" --world {self.world} --seconds 0 --out {folder} --size 1000 --rotate 1 {options}"
            )
            yield words.split(), "capturing"
        elif what == DUMPCAP:
            folder.mkdir()
            request = targets.CaptureOptions(seconds=0, snap=_SNAP, size=1_000_000_000, files=1)
            for link in targets.select_links(self.links):
                yield shlex.split(targets.dumpcap_command(link, folder, request)), "File: "

    def _stop(self, what: str, process: Popen[str]) -> None:
        """Stop as Ctrl-C does, and read the report of traffic.capture. Raises: StepFailed."""
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=_STOP_S)
        if process.returncode:
            raise StepFailed("the capture", "failed", stderr[-300:], "start it by hand")
        for link in json.loads(stdout)["links"] if stdout.startswith("{") else ():
            self.packets[what] += link["packets"]
            self.dropped[what] += link["dropped"]

    def sentences(self) -> Iterator[str]:
        """Say what our own captures counted."""
        for what, packets in self.packets.items():
            yield f"{what}: {packets:,} packets captured, {self.dropped[what]:,} lost."
