"""The tour: every screen's commands do what it says, and whatever ends it, all is put back."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from tests.support.project import ROOT
from tests.support.sandbox import INVOKE, Sandbox, differences, eventually, snapshot
from twinstack.tour.screens import SCREENS

pytestmark = pytest.mark.e2e
BUT = ("neighbours", "forwarding entries", "sockets", "data")


def cut(host: Sandbox) -> bool:
    """Tell whether the tour's screen "deny" has denied its flow."""
    return "fault partition" in host.run("iptables-save", "-t", "filter").stdout


def start_denying(host: Sandbox) -> subprocess.Popen[str]:
    """Start a tour, and wait until its screen "deny" has denied the flow."""
    words = (INVOKE, "tour", "--yes", "--screens", "deny")
    started = host.start(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: cut(host), within_s=60)
    except BaseException:
        started.terminate()
        started.communicate(timeout=60)
        raise
    return started


def test_every_screen_shows_what_it_says_and_what_it_brought_up_is_taken_down(
    host: Sandbox,
) -> None:
    before = snapshot(host, but=("data",))
    done = host.invoke("tour", "--json", check=False, timeout_s=300)
    report = json.loads(done.stdout)
    ran = [command for each in report["screens"] for command in each["commands"]]
    assert [command for command in ran if not command["as_expected"]] == []
    assert done.returncode == 0, done.stderr
    assert (report["brought_up"], report["left_out"]) == (True, ["docker"])
    assert report["seconds"] < 600
    assert [each["name"] for each in report["screens"]] == [
        screen.name for screen in SCREENS if screen.world == "net"
    ]
    printed = {
        each["name"]: [command["output"] for command in each["commands"]]
        for each in report["screens"]
    }
    own, other, address = printed["namespace"]
    assert own != other
    assert "10.0.0.30/24" in address
    assert "link-netns product-service" in printed["veth"][0]
    assert "ve-redis-cache" in printed["veth"][1]
    assert "HTTP/1.1 200 OK" in printed["request"][0]
    assert "redis-cache works" in printed["journey"][0]
    three = {"product-service", "product-service-2", "product-service-3"}
    assert three == set(re.findall(r"product-service\S*", printed["replicas"][0]))
    assert three == set(re.findall(r"product-service\S*", printed["kill"][1]))
    assert re.search(r"product-service-2 .*healthy +1$", printed["kill"][2], re.M)
    assert "api-gateway to product-service" in printed["rule"][0]
    assert "passes" in printed["why"][0]
    assert "nginx-lb → redis-cache tcp/6379" in printed["drops"][0]
    assert "a fault of invoke chaos drops it" in printed["deny"][0]
    assert "ASSURED" in printed["conntrack"][1]
    assert "docker over namespaces" in printed["cost"][0]
    assert differences(before, snapshot(host, but=("data",))) == []


def test_ctrl_c_puts_back_what_was_denied_and_takes_down_what_was_brought_up(
    host: Sandbox,
) -> None:
    before = snapshot(host, but=("data",))
    running = start_denying(host)
    running.send_signal(signal.SIGINT)
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 130, printed
    assert differences(before, snapshot(host, but=("data",))) == []


def test_a_terminal_that_is_closed_takes_down_what_was_brought_up(host: Sandbox) -> None:
    before = snapshot(host, but=("data",))
    ours, theirs = pty.openpty()
    resize(ours, 80, 24)
    words = host.command([INVOKE, "tour", "--screens", "namespace,rest"])
    running = subprocess.Popen(
        ["setsid", "--ctty", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=host.environment,
    )
    os.close(theirs)
    try:
        read_until(ours, "[Y/n] ")
        os.write(ours, b"\n")
        read_until(ours, "q: end > ")
    finally:
        os.close(ours)
        running.wait(timeout=60)
    assert differences(before, snapshot(host, but=("data",))) == []


def test_a_terminated_tour_puts_back_what_it_denied_and_leaves_a_world_that_was_up(
    flat: Sandbox,
) -> None:
    before = snapshot(flat, but=BUT)
    running = start_denying(flat)
    running.terminate()
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 143, printed
    assert differences(before, snapshot(flat, but=BUT)) == []


def test_what_a_killed_tour_left_is_put_back_by_the_next_up(flat: Sandbox) -> None:
    before = snapshot(flat, but=BUT)
    running = start_denying(flat)
    chaos = "--what partition:product-service/redis-cache"
    pids = flat.run("pgrep", "-f", "--ns", str(flat.host), "--nslist", "mnt", "--", chaos).stdout
    for pid in (running.pid, *map(int, pids.split())):
        os.kill(pid, signal.SIGKILL)
    running.communicate(timeout=10)
    assert cut(flat)
    flat.invoke("net.up")
    # The command of its screen is nobody's now, and ends by itself.
    eventually(lambda: differences(before, snapshot(flat, but=BUT)) == [], within_s=10)


DRILL = """
import sys, time
from twinstack.faults import drill_record
there = drill_record.Underway("lost-flow", "net", "flat", "", 1, "", time.time(), "there")
drill_record.write(sys.argv[1], there)
"""


def test_a_world_that_a_drill_broke_is_refused_before_anything_is_run(flat: Sandbox) -> None:
    flat.run("env", f"PYTHONPATH={ROOT}", sys.executable, "-c", DRILL, flat.instance)
    try:
        done = flat.invoke("tour", "--yes", "--screens", "deny", check=False)
    finally:
        flat.run("rm", f"/run/twinstack/{flat.instance}/drill.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "tour: is refused: a drill is under way" in done.stderr


def read_until(terminal: int, words: str) -> str:
    """Read what is printed on a terminal, until it has some words."""
    printed, deadline = "", time.monotonic() + 30
    while words not in printed:
        assert time.monotonic() < deadline, printed
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                printed += os.read(terminal, 65536).decode()
            except OSError:  # nobody writes to it any more
                break
    return printed.replace("\r\n", "\n")


def resize(terminal: int, columns: int, rows: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def test_on_a_terminal_a_screen_fits_also_when_it_is_resized_and_q_ends_it(flat: Sandbox) -> None:
    ours, theirs = pty.openpty()
    resize(ours, 80, 24)
    sizes = {"COLUMNS", "LINES"}
    plain = {key: text for key, text in flat.environment.items() if key not in sizes}
    words = flat.command([INVOKE, "tour", "--screens", "namespace,why,rule,rest"])
    running = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=plain)
    os.close(theirs)
    try:
        asks = "q: end > "
        first = read_until(ours, asks)
        resize(ours, 60, 20)
        os.write(ours, b"\n")
        second = read_until(ours, asks)
        resize(ours, 100, 40)
        os.write(ours, b"\n")
        third = read_until(ours, asks)
        os.write(ours, b"q\n")
        last = read_until(ours, " s\n")
        assert running.wait(timeout=30) == 0
    finally:
        running.kill()
        running.wait()
        os.close(ours)
    assert "1 of 4: A network namespace" in first
    assert "2 of 4: Ask why it passes" in second
    assert "more lines" in second
    assert "3 of 4: The rule" in third
    assert "3 screens in" in last
    assert "\x1b" not in first + second + third + last
    for printed, columns, rows in ((first, 80, 24), (second, 60, 20)):
        lines = printed.lstrip("\n").splitlines()
        assert sum(max(1, -(-len(line) // columns)) for line in lines) <= rows, printed
