"""Run the contenders round by round in the host of their caller, and keep every sample.

Each round measures every size and contender that is due once, in an order drawn from the seed: a
machine drifts, and what is compared must drift together. After each `down` the race waits until the
kernel has released everything, and takes that time too.
"""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.questions.provisioning import contenders, files, host
from bench.questions.provisioning.contenders import FLOOR, MININET, OURS, SHELL, Contender
from bench.questions.provisioning.verdict import RaceSample
from twinstack.errors import CannotTell
from twinstack.linux import child, process
from twinstack.reconcile import Progress

_PINS = Path("/run/netns")
_SENTINEL, _FAR_END = "sentinel0", "sentinel1"
_POLL_S, _GONE_BOUND_S = 0.001, 60.0
_REST_S = 0.2
#: Mininet takes minutes for more namespaces than that.
_MININET_MOST = 100


@dataclass(frozen=True, slots=True)
class RaceSettings:
    """What to measure."""

    instance: str
    sizes: tuple[int, ...]
    rounds: int  # of ours and the floor
    slow_rounds: int  # of shell and Mininet
    shell_rounds: int  # of the shell at the largest size
    seed: int

    def due(self, name: str, size: int) -> int:
        """Give the rounds that a contender of a size takes part in."""
        if name in {OURS, FLOOR}:
            return self.rounds
        if name == MININET and size > _MININET_MOST:
            return 0
        largest = name == SHELL and size == max(self.sizes)
        return self.shell_rounds if largest else self.slow_rounds

    def order(self, names: Sequence[str]) -> Iterator[list[tuple[str, int]]]:
        """Draw the order of every round; those due less often are spread over them evenly."""
        chance = random.Random(self.seed)
        for number in range(self.rounds):
            turn: list[tuple[str, int]] = []
            # All of a size one after another: what is compared is close in time.
            for size in chance.sample(self.sizes, len(self.sizes)):
                now = [name for name in names if self._is_due(number, self.due(name, size))]
                turn += [(name, size) for name in chance.sample(now, len(now))]
            yield turn

    def _is_due(self, number: int, times: int) -> bool:
        return number * times // self.rounds != (number - 1) * times // self.rounds


def run(
    settings: RaceSettings, work: Path, mininet: Path | None, progress: Progress
) -> list[RaceSample]:
    """Race. Raises: Missing, StepFailed; CannotTell when something is left behind."""
    for size in settings.sizes:
        files.write(work, size, settings.instance)
    racing = {OURS: contenders.twinstack(settings.instance), FLOOR: contenders.floor(work)}
    if settings.slow_rounds:
        racing[SHELL] = contenders.by_shell(work)
    if settings.slow_rounds and mininet:
        racing[MININET] = contenders.by_mininet(work, mininet)
    # The first run after boot waits for memory: it must count for no contender.
    progress("warming up")
    for size in settings.sizes:
        _once(FLOOR, racing[FLOOR], size, 0)
    samples = []
    for number, turn in enumerate(settings.order(list(racing)), 1):
        for name, size in turn:
            sample = _once(name, racing[name], size, number)
            up, down = sample.up["total"], sample.down["total"]
            progress(f"round {number}/{settings.rounds}: {name} {size}: {up:.0f} ms, {down:.0f} ms")
            samples.append(sample)
    return samples


def _once(name: str, contender: Contender, size: int, number: int) -> RaceSample:
    before = _look()
    with _sentinel(), closing(contender(size)) as run:
        up = next(run)
        pins = len(list(_PINS.iterdir())) if _PINS.is_dir() else 0
        if pins != size and name != MININET:  # its namespaces have no pins
            raise CannotTell(name, "did not bring all up", f"{pins} of {size} are up")
        (down,) = run
        end_s = time.monotonic()
    gone_ms = down["total"] + (time.monotonic() - end_s) * 1e3
    time.sleep(_REST_S)
    if left := sorted(before ^ _look()):
        raise CannotTell(name, "left something behind", " ".join(left)[:300])
    return RaceSample(name, size, number, up, down, gone_ms)


def _look() -> set[str]:
    """List what the host keeps but iptables' own chains, which stay once they were used."""
    return {line for line in host.state() if not re.match(r"\*|COMMIT$|:(?!TS-)", line)}


@contextmanager
def _sentinel() -> Iterator[None]:
    """Keep a namespace that ends last, and wait until every one that died before it is gone.

    The kernel clears namespaces away in the background, one batch after another in the order in
    which they died. A link into the last one to die exists until its batch is gone.
    Raises: CannotTell when that takes too long; StepFailed.
    """
    with child.networks("the sentinel", 1) as (holder,):
        link = f"ip link add {_SENTINEL} type veth peer {_FAR_END} netns {holder}"
        process.run(link.split())
        yield
    deadline = time.monotonic() + _GONE_BOUND_S
    with suppress(OSError):  # there is no such link
        while socket.if_nametoindex(_SENTINEL):
            if time.monotonic() > deadline:
                raise CannotTell("namespaces", "do not end", f"within {_GONE_BOUND_S:g} s")
            time.sleep(_POLL_S)
