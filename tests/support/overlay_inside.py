"""What a test of the overlay asks from within its host: `python -m tests.support.overlay_inside`.

Brings load on the underlay about while it is watched, and prints what was seen as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from tests.support.sandbox import REPOSITORY
from twinstack.overlay import flooding, hosts
from twinstack.overlay.world import Overlay
from twinstack.stack import Stack

#: An echo of so many bytes fills an inner packet of 1450: 20 of IPv4 and 8 of ICMP go before.
FULL = 1422


def overlay() -> Overlay:
    """Give the overlay as it runs."""
    return Stack(os.environ["TWINSTACK_INSTANCE"], REPOSITORY / "topology.yml").overlay()


def ping(here: Overlay, source: str, target: str, size: int, count: int = 1) -> str:
    """Ask one replica from another by whole packets; gives what `ping` said, or "answers"."""
    # What is too large is refused at once, and not waited for.
    wait = "3" if size <= FULL else "0.1"
    pins = hosts.pins_of(here.plan.instance, here.spread.where[source])
    address = str(here.plan.replica(target).address)
    words = [
        "nsenter",
        f"--net=/run/netns/{source}",
        "--",
        "ping",
        "-M",
        "do",
        "-W",
        wait,
        "-i",
        "0.01",
        "-c",
        str(count),
        "-s",
        str(size),
        address,
    ]
    done = subprocess.run([*pins.command, *words], capture_output=True, text=True, check=False)
    return "answers" if done.returncode == 0 else " ".join((done.stderr + done.stdout).split())


def pairs(here: Overlay) -> list[tuple[str, str]]:
    """Give replicas of each ordered pair of hosts, and of each pair of segments among them."""
    found: dict[tuple[str, str, str, str], tuple[str, str]] = {}
    for one in here.plan.replicas:
        for other in here.plan.replicas:
            ends = (here.spread.where[one.name], here.spread.where[other.name])
            if ends[0] != ends[1]:
                found.setdefault((*ends, one.segment, other.segment), (one.name, other.name))
    return list(found.values())


def pieces(here: Overlay) -> dict[str, int]:
    """Count the packets that each host has cut in pieces (FragCreates)."""
    script = "awk '/^Ip:/ { if (n++) print $(c) ; else for (i = 1; i <= NF; i++)"
    script += ' if ($i == "FragCreates") c = i }\' /proc/net/snmp'
    counted = {}
    for host in here.spread.hosts:
        pins = hosts.pins_of(here.plan.instance, host.name)
        done = subprocess.run(
            [*pins.command, "sh", "-c", script], capture_output=True, text=True, check=True
        )
        counted[host.name] = int(done.stdout)
    return counted


def full_size(here: Overlay) -> dict[str, Any]:
    """Send the largest packet that passes and the next larger one, between all hosts."""
    before = pieces(here)
    asked = {
        f"{one} {other} {size}": ping(here, one, other, size)
        for one, other in pairs(here)
        for size in (FULL, FULL + 1)
    }
    after = pieces(here)
    return {"asked": asked, "pieces": {host: after[host] - before[host] for host in after}}


def watched(here: Overlay) -> dict[str, Any]:
    """Talk between all hosts while the underlay is watched."""

    def talk() -> None:
        for one, other in pairs(here):
            assert ping(here, one, other, 100, count=3) == "answers", (one, other)

    seen = flooding.watch(here.plan, here.spread, 0.3, talk)
    examples = [asdict(one) for one in seen.examples.values()]
    return {**asdict(seen), "examples": examples, "fine": seen.fine}


def made(_: Overlay) -> dict[str, Any]:
    """Make two hosts, and nothing on them."""
    file = REPOSITORY / "topology.yml"
    there = Stack(os.environ["TWINSTACK_INSTANCE"], file).overlay(2, bare=True)
    there.hosts_up(progress=lambda _line: None)
    return {}


if __name__ == "__main__":
    work = {"full-size": full_size, "watched": watched, "hosts": made}[sys.argv[1]]
    sys.stdout.write(json.dumps(work(overlay())))
