"""Run the contenders round by round in a host of their own, and keep every sample.

    python -m bench.questions.provisioning.race SETTINGS-AS-JSON

Started by `run` in the host that `host` makes. Each round measures every size and contender that
is due once, in an order drawn from the seed: a machine drifts, and what is compared must drift
together. After each `down` the race waits until the kernel has let go of everything, and says how
long that took. Progress goes to standard error, one JSON document to standard output.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.questions.provisioning import contenders
from bench.questions.provisioning.contenders import FLOOR, MININET, OURS, SHELL, Contender
from bench.questions.provisioning.verdict import Sample
from twinstack.errors import CannotTell, TwinstackError

_SENTINEL, _FAR_END = "sentinel0", "sentinel1"
_POLL_S, _GONE_BOUND_S = 0.001, 60.0
_REST_S = 0.2


@dataclass(frozen=True, slots=True)
class Settings:
    """What to measure. `rounds` of ours and the floor; of shell and Mininet `slow_rounds`, of the
    shell at the largest size `shell_rounds`. Mininet is unpacked in `mininet` (empty: it is left
    out), and takes part up to `mininet_most` namespaces.
    """

    instance: str
    sizes: tuple[int, ...]
    rounds: int
    slow_rounds: int
    shell_rounds: int
    mininet_most: int
    seed: int
    mininet: str = ""


def due(settings: Settings, name: str, size: int) -> int:
    """Give the rounds that a contender of a size takes part in."""
    if name in {OURS, FLOOR}:
        return settings.rounds
    if name == MININET and size > settings.mininet_most:
        return 0
    largest = name == SHELL and size == max(settings.sizes)
    return settings.shell_rounds if largest else settings.slow_rounds


def order(settings: Settings, names: Sequence[str]) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Draw the order of every round; those due less often are spread over the rounds evenly."""
    chance = random.Random(settings.seed)
    found = []
    for number in range(settings.rounds):
        turn: list[tuple[str, int]] = []
        # All of a size one after another: what is divided by each other is close in time.
        for size in chance.sample(settings.sizes, len(settings.sizes)):
            now = [one for one in names if _is_due(number, due(settings, one, size), settings)]
            turn += [(name, size) for name in chance.sample(now, len(now))]
        found.append(tuple(turn))
    return tuple(found)


def _is_due(number: int, times: int, settings: Settings) -> bool:
    return number * times // settings.rounds != (number - 1) * times // settings.rounds


def run(settings: Settings) -> list[Sample]:
    """Race.

    Raises: Missing, StepFailed; CannotTell when something is left behind.
    """
    with tempfile.TemporaryDirectory(prefix="twinstack-scale-") as directory:
        work = Path(directory)
        program = contenders.compile_floor(work)
        for size in settings.sizes:
            contenders.prepare(work, size, settings.instance)
        racing = [contenders.ours(settings.instance), contenders.floor(work, program)]
        if settings.slow_rounds:
            racing.append(contenders.by_shell(work))
        if settings.slow_rounds and settings.mininet:
            racing.append(contenders.by_mininet(work, Path(settings.mininet)))
        # The first time after boot memory comes from afar: nobody's time is to hold that.
        _say("warming up")
        for size in settings.sizes:
            _once(racing[1], size, 0)
        return _rounds(settings, racing)


def _rounds(settings: Settings, racing: Sequence[Contender]) -> list[Sample]:
    by_name = {one.name: one for one in racing}
    samples = []
    for number, turn in enumerate(order(settings, list(by_name)), 1):
        for name, size in turn:
            sample = _once(by_name[name], size, number)
            samples.append(sample)
            up, down = sample.up["total"], sample.down["total"]
            _say(f"round {number}/{settings.rounds}: {name} {size}: {up:.0f} ms, {down:.0f} ms")
    return samples


def _once(one: Contender, size: int, number: int) -> Sample:
    before = look()
    with _sentinel() as release:
        run = one.begin(size)
        up = run.up()
        if one.name != MININET:  # its namespaces have no pins
            _check(one.name, len(_pins()), size)
        down = run.down()
        start = time.monotonic()
        release()
        gone = down["total"] + (time.monotonic() - start) * 1e3
    time.sleep(_REST_S)
    after = look()
    if after != before:
        left = sorted(set(after) ^ set(before))
        raise CannotTell(one.name, "left something behind", " ".join(left)[:300], "look at it")
    return Sample(one.name, size, number, up, down, gone)


def _check(name: str, there: int, wanted: int) -> None:
    if there != wanted:
        raise CannotTell(name, "did not bring all up", f"{there} of {wanted} are there", "")


def look() -> tuple[str, ...]:
    """List what a contender may leave on the host: links, pins, rules, the switch, files."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return (
        *(name for _, name in socket.if_nameindex()),
        *_pins(),
        *(line for line in rules.splitlines() if line.startswith("-A ")),
        *(line.split()[0] for line in rules.splitlines() if line.startswith(":TS-")),
        # umount(8) keeps notes of its own there.
        *(str(path) for path in Path("/run").rglob("*") if "/run/mount" not in str(path)),
        f"ip_forward {Path('/proc/sys/net/ipv4/ip_forward').read_text().strip()}",
    )


def _pins() -> list[str]:
    pins = Path("/run/netns")
    return sorted(one.name for one in pins.iterdir()) if pins.is_dir() else []


@contextmanager
def _sentinel() -> Iterator[Callable[[], None]]:
    """Keep a namespace whose end tells that every namespace before it has ended.

    The kernel clears namespaces away behind our back, one batch after another in the order in
    which they died. A link into the last one to die is still there until its batch has gone.
    Gives what ends the sentinel and waits.
    """
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def release() -> None:
        holder.communicate()
        deadline = time.monotonic() + _GONE_BOUND_S
        while _is_there(_SENTINEL):
            if time.monotonic() > deadline:
                raise CannotTell("namespaces", "do not end", f"within {_GONE_BOUND_S:g} s", "")
            time.sleep(_POLL_S)

    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        subprocess.run(
            [
                "ip",
                "link",
                "add",
                _SENTINEL,
                "type",
                "veth",
                "peer",
                "name",
                _FAR_END,
                "netns",
                str(holder.pid),
            ],
            check=True,
        )
        yield release
    finally:
        holder.kill()
        holder.wait()
        while _is_there(_SENTINEL):
            time.sleep(_POLL_S)


def _is_there(link: str) -> bool:
    try:
        return bool(socket.if_nametoindex(link))
    except OSError:
        return False


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> None:
    """Race with the settings of the command line."""
    settings = json.loads(sys.argv[1])
    try:
        samples = run(Settings(**{**settings, "sizes": tuple(settings["sizes"])}))
    except TwinstackError as error:
        _say(str(error))
        os._exit(1)
    sys.stdout.write(json.dumps([asdict(one) for one in samples]) + "\n")


if __name__ == "__main__":
    main()
