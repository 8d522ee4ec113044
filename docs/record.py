"""Record what running worlds print and draw, for these pages: needs root, and some minutes.

    .venv/bin/python -m docs.record [net] [drill] [tour] [both] [swarm]

All of it, or the parts named. The worlds are up on a host of their own, in namespaces as the tests
make them, under an instance of their own: those of the machine are not touched. `net`, `drill`,
`tour` and `swarm` record sessions (docs/recorded/), `net` and `both` also the pictures and texts
of docs/topology.md and docs/journey.md. `docs/screens.py` draws what was recorded, at the end.
"""

from __future__ import annotations

import json
import os
import platform
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from docs import screens
from docs.figures import filled
from docs.screens import COLUMNS, HERE, RECORDED, prompt
from tests.support.sandbox import Sandbox, sandbox
from twinstack.linux.machine import parse_cpu_model
from twinstack.stack import Stack

INSTANCE = "docs"
_ORDER = (
    "curl -s -o /dev/null -H 'X-Request-ID: looking-for-me' \\\n"
    "    -H 'Content-Type: application/json' \\\n"
    """    -d '{"items":[{"product_id":3,"quantity":1}]}' http://10.0.0.10/api/orders"""
)
_PING = "ping -c 1 -W 1 10.0.0.50 | tail -n 3"
_REQUESTS = (
    "while sleep 0.02; do\n"
    "    curl -s -o /dev/null -w '%{http_code}\\n' http://10.0.0.10/api/products\n"
    "done > /run/codes"
)
#: What is broken by hand for the picture of what differs, and how that is undone.
_BREAK = (
    "ip link delete ve-order",
    "ip -n redis-cache address add 10.0.0.99/24 dev eth0",
    "ip link add lab1 type veth peer name lab0",
    "ip link set lab1 master br-app up",
    "iptables -I FORWARD -s 10.0.0.10 -d 10.0.0.50 -p tcp --dport 6379 -j ACCEPT",
)
_MEND = (
    "iptables -D FORWARD -s 10.0.0.10 -d 10.0.0.50 -p tcp --dport 6379 -j ACCEPT",
    "ip link delete lab1",
)


def net(host: Sandbox) -> None:
    """Record the flat namespace world: the questions, a live change, logs, and its topology."""
    with _held(host, f"{sys.executable} -m http.server 8080"):
        while not host.run("ss", "-Hltn", "sport = :8080").stdout:
            time.sleep(0.05)
        busy = on_terminal(host, "invoke net.up")
    host.invoke("net.up")
    keep(
        host,
        "faq",
        f"# another program listens on port 8080\n{busy}",
        f"# it has ended, and the world is up\n{on_terminal(host, _PING)}",
        on_terminal(host, "TWINSTACK_INSTANCE=other invoke net.exec nginx-lb -- ip addr"),
        on_terminal(host, "invoke clean --dry-run | head -n 6"),
    )
    order = on_terminal(host, _ORDER)
    time.sleep(2)  # nginx writes its log once a second
    keep(host, "logs", order, on_terminal(host, "invoke net.logs --request looking-for-me"))
    with _held(host, _REQUESTS):
        restarted = on_terminal(host, "invoke net.restart product-service")
    counted = on_terminal(host, "sort /run/codes | uniq --count")
    keep(host, "live", prompt(f"{_REQUESTS} &"), restarted, counted)
    topology(host, "OBSERVED", "topology-net.svg")
    for line in _BREAK:
        host.run(*line.split())
    try:
        topology(host, "DIFFERS", "topology-wrong.svg")
    finally:
        for line in _MEND:
            host.run(*line.split())


def drill(host: Sandbox) -> None:
    """Record a drill: a repair that does too much, one that is whole, and the table."""
    host.invoke("net.up")
    lines = (
        "invoke drill.start frozen --seed 1 --student Ada",
        "invoke drill.hint",
        "invoke net.restart nginx-lb > /dev/null; iptables -I FORWARD -j ACCEPT",
        "invoke drill.check",
        "iptables -D FORWARD -j ACCEPT; invoke drill.check",
        "invoke drill.report",
    )
    keep(host, "drill", *(on_terminal(host, line) for line in lines))


def tour(host: Sandbox) -> None:
    """Record two screens of the tour, on a terminal of the usual size."""
    host.invoke("net.up")
    keep(host, "tour", on_terminal(host, "invoke tour --yes --screens veth,deny", rows=24))


def both(host: Sandbox) -> None:
    """Record both worlds, tiered: Docker's topology, and one request's journey."""
    host.invoke("net.up", "--shape", "tiered")
    host.invoke("docker.up", "--shape", "tiered", "--timeout", "120", timeout_s=600)
    drawn = host.invoke("topology", "--world", "docker", "--format", "svg")
    (HERE / "topology-docker.svg").write_text(drawn.stdout, encoding="utf-8")
    one = host.invoke("traffic.journey", "--world", "net", "--times", "31").stdout
    fill("journey.md", "JOURNEY", block(one), note(host))
    words = ("--world", "both", "--times", "31", "--svg", "docs/journey.svg")
    side_by_side = host.invoke("traffic.journey", *words).stdout
    stages = side_by_side[side_by_side.index("stage  ") :].partition("\n\n")[0]
    fill("journey.md", "BOTH", block(stages), note(host))


def swarm(host: Sandbox) -> None:
    """Record where Swarm places the tasks on two hosts."""
    host.invoke("swarm.up", "--hosts", "2", "--timeout", "150", timeout_s=600)
    try:
        status = json.loads(host.invoke("swarm.status", "--json").stdout)
        document = {"recorded": note(host), "status": status}
        kept = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        (RECORDED / "swarm.json").write_text(kept, encoding="utf-8")
    finally:
        host.invoke("swarm.down")


PARTS: dict[str, Callable[[Sandbox], None]] = {
    "net": net,
    "drill": drill,
    "tour": tour,
    "both": both,
    "swarm": swarm,
}


def main(parts: list[str]) -> None:
    """Record the parts, each on a host of its own, and draw what was recorded."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ["TERM"] = "xterm-256color"
    Stack("main", HERE.parent / "topology.yml").software(lambda line: None)
    for part in parts or PARTS:
        with sandbox("docs", instance=INSTANCE) as host:
            PARTS[part](host)
    screens.main()


def keep(host: Sandbox, name: str, *parts: str) -> None:
    """Keep a session, with when and on what it was recorded."""
    RECORDED.mkdir(exist_ok=True)
    session = "\n\n".join(part.rstrip("\n") for part in parts)
    (RECORDED / f"{name}.txt").write_text(f"{session}\n\n{note(host)}\n", encoding="utf-8")


def topology(host: Sandbox, place: str, picture: str) -> None:
    """Record the namespace world's topology: its text in the page, its picture beside it."""
    shown = host.invoke("topology", "--world", "net", check=False).stdout
    drawn = host.invoke("topology", "--world", "net", "--format", "svg", check=False).stdout
    (HERE / picture).write_text(drawn, encoding="utf-8")
    fill("topology.md", place, block(shown), note(host))


def fill(page: str, place: str, text: str, measured: str) -> None:
    """Put a text, and when and on what it was recorded, in a page's place."""
    file = HERE / page
    content = f"{textwrap.fill(measured, 100)}\n\n{text}"
    file.write_text(filled(file.read_text(encoding="utf-8"), place, content), encoding="utf-8")


def block(printed: str) -> str:
    """Write what was printed as a block of a page."""
    return f"```text\n{printed.rstrip()}\n```"


def note(host: Sandbox) -> str:
    """Say when and on what it was recorded."""
    cpu = parse_cpu_model(Path("/proc/cpuinfo").read_text())
    version = host.run("docker", "version", "--format", "{{.Server.Version}}", check=False)
    docker = f", Docker {version.stdout.strip()}" if version.returncode == 0 else ""
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return (
        f"Recorded {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores ({cpu}), "
        f"{system}{docker}."
    )


def on_terminal(host: Sandbox, line: str, rows: int = 50) -> str:
    """Run a shell's line on a terminal; gives it after its prompt, and all that was printed."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, COLUMNS))
    process = host.start("bash", "-c", line, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    printed = b"".join(_read(ours, process)).decode()
    os.close(ours)
    return "\n".join([prompt(line), re.sub(r"\r+\n", "\n", printed)])


def _read(terminal: int, process: subprocess.Popen[str]) -> Iterator[bytes]:
    """Read until the process has ended: what it started in the background may hold the terminal."""
    while True:
        ended = process.poll() is not None
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                yield os.read(terminal, 65536)
            except OSError:  # nobody holds it any more
                process.wait()
                return
        elif ended:
            return


@contextmanager
def _held(host: Sandbox, line: str) -> Iterator[None]:
    """Run a shell's line in the background while the block lasts."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = host.start("bash", "-c", line, start_new_session=True, **quiet)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
