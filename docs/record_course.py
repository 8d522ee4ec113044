"""Record a session of each lesson, for the pictures of docs/course/: needs root, and some minutes.

    .venv/bin/python -m docs.record_course [DAY …]

As `docs/record.py` does, on hosts of their own. What is not shown of a lesson is done by its own
solution: `parts` says how many of its parts, before the lines that are shown.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from docs import screens
from docs.record import INSTANCE, keep, on_terminal
from docs.screens import HERE
from tests.support.sandbox import Sandbox, sandbox
from twinstack.stack import Stack

_WHO = "curl -s -o /dev/null -D - http://10.0.0.10/api/products | grep -i x-served"
_FILE = f"/run/twinstack/{INSTANCE}/day-4.pcapng"
_NAME = f"twinstack-{INSTANCE}-order-service"


@dataclass(frozen=True, slots=True)
class Recording:
    """What of a lesson is shown."""

    parts: tuple[int, ...]  # done before, numbered from 1
    lines: tuple[str, ...]


RECORDINGS = {
    1: Recording(
        (1, 3, 4),
        (
            "ip link add name ve-order type veth peer name eth0 netns order-service",
            "ip link set dev ve-order up",
            "invoke course.check",
        ),
    ),
    2: Recording(
        (1, 2, 3, 4, 5, 7),
        (
            "invoke course.check",
            f"iptables -t nat -N TS-{INSTANCE}-OUTPUT",
            (
                f"iptables -t nat -A TS-{INSTANCE}-OUTPUT -p tcp -m addrtype --dst-type LOCAL \\\n"
                "    --dport 8080 -j DNAT --to-destination 10.0.0.10:80"
            ),
            f"iptables -t nat -A OUTPUT -j TS-{INSTANCE}-OUTPUT",
            "curl -s http://localhost:8080/health | cut -c-78",
        ),
    ),
    3: Recording((1, 2, 3, 4, 5, 6, 7), (f"for n in 1 2 3 4 5 6; do {_WHO}; done",)),
    4: Recording(
        (1, 2, 3, 4, 5, 6),
        (
            (
                f"tshark -r {_FILE} -Y 'frame contains \"day-4\"' -T fields \\\n"
                "    -e frame.number -e ip.src -e ip.dst -e _ws.col.Info 2> /dev/null"
            ),
            "conntrack -L -p tcp --orig-port-dst 80 2> /dev/null | tail -n 1",
            "invoke course.check",
        ),
    ),
    5: Recording(
        (1, 2, 4, 5, 6, 7, 8),
        ("invoke course.check", "invoke why api-gateway order-service --world net | tail -n 3"),
    ),
    6: Recording(
        (1, 2, 3, 4),
        (
            f"docker inspect --format '{{{{.State.Pid}}}}' {_NAME}",
            "ip netns list",
            "ip -br link show type veth | grep -A 1 ve-guest",
            "invoke course.check",
        ),
    ),
    7: Recording(
        (1,),
        (
            "invoke overlay.exec host-2 -- ip -br link show type vxlan",
            "invoke overlay.exec host-2 -- bridge fdb show dev vx-app",
            "invoke course.check",
        ),
    ),
}


def record(host: Sandbox, day: int) -> None:
    """Record one lesson."""
    recording = RECORDINGS[day]
    host.invoke("course.start", str(day), timeout_s=600)
    parts = json.loads(host.invoke("course.solution", "--json").stdout)["parts"]
    done = (parts[number - 1]["commands"] for number in recording.parts)
    host.run("bash", "-c", "\n".join(command for commands in done for command in commands))
    shown = (on_terminal(host, line) for line in recording.lines)
    keep(host, f"course-{day}", *shown)
    host.invoke("course.stop", timeout_s=600)


def main(days: list[str]) -> None:
    """Record the lessons of some days, or of all, and draw what was recorded."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ["TERM"] = "xterm-256color"
    Stack("main", HERE.parent / "topology.yml").software(lambda line: None)
    for day in map(int, days) if days else RECORDINGS:
        with sandbox("docs", instance=INSTANCE) as host:
            record(host, day)
    screens.main()


if __name__ == "__main__":
    main(sys.argv[1:])
