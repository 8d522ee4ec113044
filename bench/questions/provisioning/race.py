"""Run the contenders round by round in a host of their own, and keep every sample.

    python -m bench.questions.provisioning.race SETTINGS-AS-JSON

Started by `scale` in the host that `host` makes. Each round measures every size and contender that
is due once, in an order drawn from the seed: a machine drifts, and what is compared must drift
together. After each `down` the race waits until the kernel has released everything, and takes that
time too. Progress goes to standard error, one JSON document to standard output.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.questions.provisioning import contenders, host
from bench.questions.provisioning.contenders import FLOOR, MININET, OURS, SHELL, Contender
from bench.questions.provisioning.verdict import RaceSample
from twinstack.errors import CannotTell, TwinstackError

_SENTINEL, _FAR_END = "sentinel0", "sentinel1"
_POLL_S, _GONE_BOUND_S = 0.001, 60.0
_REST_S = 0.2


@dataclass(frozen=True, slots=True)
class RaceSettings:
    """What to measure."""

    instance: str
    sizes: tuple[int, ...]
    rounds: int  # of ours and the floor
    slow_rounds: int  # of shell and Mininet
    shell_rounds: int  # of the shell at the largest size
    mininet_most: int  # namespaces up to which Mininet takes part
    seed: int
    mininet: str = ""  # where it is unpacked; empty: it is left out


def due(settings: RaceSettings, name: str, size: int) -> int:
    """Give the rounds that a contender of a size takes part in."""
    if name in {OURS, FLOOR}:
        return settings.rounds
    if name == MININET and size > settings.mininet_most:
        return 0
    largest = name == SHELL and size == max(settings.sizes)
    return settings.shell_rounds if largest else settings.slow_rounds


def order(settings: RaceSettings, names: Sequence[str]) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Draw the order of every round; those due less often are spread over the rounds evenly."""
    chance = random.Random(settings.seed)
    rounds = []
    for number in range(settings.rounds):
        turn: list[tuple[str, int]] = []
        # All of a size one after another: what is compared is close in time.
        for size in chance.sample(settings.sizes, len(settings.sizes)):
            now = [name for name in names if _is_due(number, due(settings, name, size), settings)]
            turn += [(name, size) for name in chance.sample(now, len(now))]
        rounds.append(tuple(turn))
    return tuple(rounds)


def _is_due(number: int, times: int, settings: RaceSettings) -> bool:
    return number * times // settings.rounds != (number - 1) * times // settings.rounds


def run(settings: RaceSettings) -> list[RaceSample]:
    """Race. Raises: Missing, StepFailed; CannotTell when something is left behind."""
    with tempfile.TemporaryDirectory(prefix="twinstack-scale-") as directory:
        work = Path(directory)
        program = contenders.compile_floor(work)
        for size in settings.sizes:
            contenders.prepare(work, size, settings.instance)
        racing = [contenders.twinstack(settings.instance), contenders.floor(work, program)]
        if settings.slow_rounds:
            racing.append(contenders.by_shell(work))
        if settings.slow_rounds and settings.mininet:
            racing.append(contenders.by_mininet(work, Path(settings.mininet)))
        # The first run after boot waits for memory: it must count for no contender.
        host.say("warming up")
        for size in settings.sizes:
            _once(racing[1], size, 0)
        return _rounds(settings, racing)


def _rounds(settings: RaceSettings, racing: Sequence[Contender]) -> list[RaceSample]:
    by_name = {contender.name: contender for contender in racing}
    samples = []
    for number, turn in enumerate(order(settings, list(by_name)), 1):
        for name, size in turn:
            sample = _once(by_name[name], size, number)
            samples.append(sample)
            up, down = sample.up["total"], sample.down["total"]
            host.say(f"round {number}/{settings.rounds}: {name} {size}: {up:.0f} ms, {down:.0f} ms")
    return samples


def _once(contender: Contender, size: int, number: int) -> RaceSample:
    before = _look()
    with _sentinel() as release:
        run = contender.begin(size)
        up = run.up()
        if contender.name != MININET:  # its namespaces have no pins
            _check(contender.name, len(_pins()), size)
        down = run.down()
        start = time.monotonic()
        release()
        gone = down["total"] + (time.monotonic() - start) * 1e3
    time.sleep(_REST_S)
    if left := sorted(before ^ _look()):
        raise CannotTell(contender.name, "left something behind", " ".join(left)[:300])
    return RaceSample(contender.name, size, number, up, down, gone)


def _look() -> set[str]:
    """List what the host keeps but iptables' own chains, which stay once they were used."""
    return {line for line in host.state() if not re.match(r"\*|COMMIT$|:(?!TS-)", line)}


def _check(name: str, pins: int, size: int) -> None:
    if pins != size:
        raise CannotTell(name, "did not bring all up", f"{pins} of {size} are up")


def _pins() -> list[str]:
    pins = Path("/run/netns")
    return sorted(pin.name for pin in pins.iterdir()) if pins.is_dir() else []


@contextmanager
def _sentinel() -> Iterator[Callable[[], None]]:
    """Keep a namespace that ends after every namespace before it.

    The kernel clears namespaces away in the background, one batch after another in the order in
    which they died. A link into the last one to die exists until its batch is gone. Gives a
    function that ends the sentinel and waits.
    """
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def release() -> None:
        holder.communicate()
        deadline = time.monotonic() + _GONE_BOUND_S
        while _exists(_SENTINEL):
            if time.monotonic() > deadline:
                raise CannotTell("namespaces", "do not end", f"within {_GONE_BOUND_S:g} s")
            time.sleep(_POLL_S)

    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        subprocess.run(
            f"ip link add {_SENTINEL} type veth peer {_FAR_END} netns {holder.pid}".split(),
            check=True,
        )
        yield release
    finally:
        holder.kill()
        holder.wait()
        while _exists(_SENTINEL):
            time.sleep(_POLL_S)


def _exists(link: str) -> bool:
    try:
        return bool(socket.if_nametoindex(link))
    except OSError:
        return False


def main() -> None:
    """Race with the settings of the command line."""
    settings = json.loads(sys.argv[1])
    try:
        samples = run(RaceSettings(**{**settings, "sizes": tuple(settings["sizes"])}))
    except TwinstackError as error:
        host.say(str(error))
        os._exit(1)
    sys.stdout.write(json.dumps([asdict(sample) for sample in samples]) + "\n")


if __name__ == "__main__":
    main()
