"""What the overlay's tests do inside their host: `python -m tests.support.overlay_inside WORK`.

Prints what was observed as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from tests.support.project import ROOT
from twinstack.overlay import flooding, hosts
from twinstack.overlay.world import Overlay
from twinstack.stack import Stack

#: An echo of this size fills an inner packet of 1450: 20 of IPv4 and 8 of ICMP precede it.
FULL = 1422


def overlay(count: int | None = None, *, bare: bool | None = None) -> Overlay:
    """Give the overlay; unset options keep the running overlay's values."""
    stack = Stack(os.environ["TWINSTACK_INSTANCE"], ROOT / "topology.yml")
    return stack.overlay(count, bare=bare)


def ping(here: Overlay, source: str, target: str, size: int, count: int = 1) -> str:
    """Ping one replica from another with DF; gives what `ping` printed, or "answers"."""
    # What is too large is refused at once: it needs no wait.
    wait = "3" if size <= FULL else "0.1"
    pins = hosts.pins_of(here.plan.instance, here.spread.where[source])
    address = here.plan.replica(target).address
    command = f"nsenter --net=/run/netns/{source} -- ping -M do -W {wait} -i 0.01 -c {count}"
    command += f" -s {size} {address}"
    done = subprocess.run(
        [*pins.enter, *command.split()], capture_output=True, text=True, check=False
    )
    return "answers" if done.returncode == 0 else " ".join((done.stderr + done.stdout).split())


def pairs(here: Overlay) -> list[tuple[str, str]]:
    """Give replicas of each ordered pair of hosts, and of each pair of segments among them."""
    by_ends: dict[tuple[str, str, str, str], tuple[str, str]] = {}
    for source in here.plan.replicas:
        for target in here.plan.replicas:
            ends = (here.spread.where[source.name], here.spread.where[target.name])
            if ends[0] != ends[1]:
                key = (*ends, source.segment, target.segment)
                by_ends.setdefault(key, (source.name, target.name))
    return list(by_ends.values())


def fragments(here: Overlay) -> dict[str, int]:
    """Count the fragments that each host has made (FragCreates)."""
    script = "awk '/^Ip:/ { if (n++) print $(c) ; else for (i = 1; i <= NF; i++)"
    script += ' if ($i == "FragCreates") c = i }\' /proc/net/snmp'
    counts = {}
    for host in here.spread.hosts:
        command = [*hosts.pins_of(here.plan.instance, host.name).enter, "sh", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        counts[host.name] = int(done.stdout)
    return counts


def full_size() -> dict[str, Any]:
    """Send the largest packet that passes and the next larger one, between all hosts."""
    here = overlay()
    before = fragments(here)
    answers = {
        f"{source} {target} {size}": ping(here, source, target, size)
        for source, target in pairs(here)
        for size in (FULL, FULL + 1)
    }
    made = {host: count - before[host] for host, count in fragments(here).items()}
    return {"answers": answers, "fragments": made}


def watched() -> dict[str, Any]:
    """Ping between all hosts while the underlay is watched."""
    here = overlay()

    def talk() -> None:
        for source, target in pairs(here):
            assert ping(here, source, target, 100, count=3) == "answers", (source, target)

    seen = flooding.watch(here.plan, here.spread, 0.3, talk)
    return {**asdict(seen), "fine": seen.fine}


def bare_hosts() -> dict[str, Any]:
    """Create two hosts, and nothing on them."""
    overlay(2, bare=True).underlay.up(timeout_s=0, progress=lambda _line: None)
    return {}


if __name__ == "__main__":
    work = {"full-size": full_size, "watched": watched, "hosts": bare_hosts}[sys.argv[1]]
    sys.stdout.write(json.dumps(work()))
