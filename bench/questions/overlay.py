"""How long several hosts take to come up and go: underlay and overlay, without services.

    python -m bench.questions.overlay ROUNDS INSTANCE HOSTS...

does it within a host of its own and prints JSON; `ask_overlay` runs that and keeps what came of it.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bench.engine.design import MOST_ROUNDS
from bench.questions.catalogue import Answer
from bench.questions.provisioning import host, topologies
from twinstack.errors import StepFailed, TwinstackError
from twinstack.model import bounds
from twinstack.overlay import world as overlays
from twinstack.overlay.host_plans import spread_over_hosts
from twinstack.overlay.world import Overlay
from twinstack.reconcile import Progress

SIZES = (2, 4, 8, 16)
#: What each host bears, and what the largest number of hosts must be up within (issue 6).
SERVICES_EACH, WITHIN_S = 8, 10.0
_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Round:
    """One going up and down. Units: seconds; CPU of all processes. `left` is what down left."""

    hosts: int
    up_s: float
    down_s: float
    up_cpu_s: float
    down_cpu_s: float
    left: tuple[str, ...]


def ask_overlay(*, sizes: Sequence[int] = SIZES, rounds: int = 5, progress: Progress) -> Answer:
    """Bring hosts up and down, `rounds` times each size. Raises: StepFailed; as `overlay.up`."""
    bounds.within("rounds", rounds, 1, MOST_ROUNDS)
    instance = f"bo{os.getpid() % 10_000}"
    words = (
        sys.executable,
        "-m",
        "bench.questions.overlay",
        str(rounds),
        instance,
        *map(str, sizes),
    )
    own = {key: text for key, text in os.environ.items() if not key.startswith("TWINSTACK_")}
    with subprocess.Popen(
        host.words(*words),
        cwd=_REPOSITORY,
        env=own,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as measuring:
        assert measuring.stdout is not None
        assert measuring.stderr is not None
        last = ""
        for line in measuring.stderr:
            last = line.strip()
            progress(last)
        told = measuring.stdout.read()
    if measuring.returncode != 0:
        raise StepFailed("the measurement", f"ended with {measuring.returncode}", last)
    found = tuple(Round(**{**one, "left": tuple(one["left"])}) for one in json.loads(told))
    plan = topologies.plan(SERVICES_EACH * max(sizes), instance)
    return Answer("overlay", plan, found, table(found))


def reached(found: Sequence[Round]) -> bool:
    """Tell whether the most hosts were up in time, every time, and nothing was left of any."""
    most = max(one.hosts for one in found)
    return all(not one.left for one in found) and all(
        one.up_s <= WITHIN_S for one in found if one.hosts == most
    )


def table(found: Sequence[Round]) -> str:
    """Write the figures by size; pure."""
    head = f"{'hosts':>5} {'namespaces':>10} {'up s':>6} {'(min–max)':>13} {'a host':>7}"
    head += f" {'CPU a host':>10} {'down s':>7} {'a host':>7}  left"
    lines = [head, "─" * len(head)]
    for hosts in sorted({one.hosts for one in found}):
        mine = [one for one in found if one.hosts == hosts]
        ups, downs = [one.up_s for one in mine], [one.down_s for one in mine]
        up, down = statistics.median(ups), statistics.median(downs)
        cpu = statistics.median(one.up_cpu_s for one in mine)
        left = sum(len(one.left) for one in mine)
        spread_ = f"({min(ups):.2f}–{max(ups):.2f})"
        namespaces = hosts * (SERVICES_EACH + 1)
        lines.append(
            f"{hosts:5d} {namespaces:10d} {up:6.2f} {spread_:>13} {up / hosts:7.3f}"
            f" {cpu / hosts:10.3f} {down:7.2f} {down / hosts:7.3f}  {left or 'nothing'}"
        )
    rounds = len(found) // len({one.hosts for one in found})
    lines += [
        "",
        f"{SERVICES_EACH} replicas a host, flat shape, policy on, no services started; medians of",
        f"{rounds} rounds, in seconds. left: what differs on the host afterwards.",
    ]
    return "\n".join(lines)


def _round(hosts: int, instance: str) -> Round:
    topology = topologies.sized(SERVICES_EACH * hosts)
    plan = topologies.plan(SERVICES_EACH * hosts, instance)
    before = _look()
    overlay = Overlay(
        plan,
        spread_over_hosts(plan, topology.hosts, hosts),
        _no_software,
        _no_software,
        _REPOSITORY / "templates",
        bare=True,
    )
    start, cpu = time.monotonic(), _cpu_s()
    overlay.up(timeout_s=60, progress=_unheard)
    up, cpu_up = time.monotonic() - start, _cpu_s() - cpu
    start, cpu = time.monotonic(), _cpu_s()
    overlays.down(instance, progress=_unheard)
    down, cpu_down = time.monotonic() - start, _cpu_s() - cpu
    after = _look()
    left = tuple(sorted(before ^ after))
    return Round(hosts, up, down, cpu_up, cpu_down, left)


def _look() -> set[str]:
    """List what a host keeps: links, rules, mounts, files under /run, cgroups."""
    script = (
        "ip -o link | sed 's/^[0-9]*: //;s/:.*//;s/@.*//'; ip route show table all;"
        " iptables-save | grep -v '^#' | sed 's/\\[.*\\]//'; find /run;"
        " cut -d' ' -f5 /proc/self/mountinfo | grep ^/run | while read -r place; do"
        ' [ -e "$place" ] && echo "mount $place"; done;'  # others lie hidden below our /run
        " cat /proc/sys/net/ipv4/ip_forward; ls -d /sys/fs/cgroup/*/twinstack/bo* 2>/dev/null"
    )
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout
    return set(told.splitlines())


def _cpu_s() -> float:
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _unheard(_: str) -> None:
    pass


def _no_software(*_: object) -> NoReturn:
    raise TwinstackError("the network alone", "needs no software", "this was asked for", "")


def main() -> None:
    """Do what the command line asks for."""
    rounds, instance, *sizes = sys.argv[1:]
    found = []
    for number in range(int(rounds)):
        for size in sizes:  # in turn, so that a slow minute meets them all
            one = _round(int(size), instance)
            found.append(one)
            sys.stderr.write(
                f"round {number + 1}: {size} hosts up in {one.up_s:.2f} s,"
                f" down in {one.down_s:.2f} s\n"
            )
    sys.stdout.write(
        json.dumps(
            [{name: getattr(one, name) for name in Round.__dataclass_fields__} for one in found]
        )
    )


if __name__ == "__main__":
    main()
