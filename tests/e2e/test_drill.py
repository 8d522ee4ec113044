"""A student's way through a drill by its tasks, and all that can be asked of them wrongly."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.drill_inside import START
from tests.support.kernel_state import State, kernel_state, unlike
from tests.support.sandbox import INVOKE, Sandbox

pytestmark = pytest.mark.e2e

#: What another program has on the host: it is flushed too, and is not for us to bring back.
STRANGE = "iptables -N ban; iptables -A ban -p tcp --dport 22 -j RETURN; iptables -A INPUT -j ban"
#: What a student may do to a world besides repairing it: all of it at once.
HAVOC = (
    "iptables -F; iptables -t nat -F; iptables -t raw -F; iptables -X; iptables -P FORWARD DROP",
    "iptables -A FORWARD -i other0 -j ACCEPT",
    "ip link del br-app",
    "ip -n redis-cache address add 10.0.0.99/24 dev eth0",
    "ip -n redis-cache route add 192.0.2.0/24 via 10.0.0.1",
    "ip netns exec postgres-db tc qdisc add dev eth0 root tbf rate 1mbit burst 10k latency 50ms",
    "ip netns delete order-service",
    "sysctl -qw net.ipv4.ip_forward=0",
)


@pytest.fixture(scope="module")
def before(flat: Sandbox) -> State:
    for table in ("mangle", "raw", "nat"):  # a table stays, once there was a rule in it
        for verb in ("-A", "-D"):
            flat.run("iptables", "-t", table, verb, "OUTPUT", "-j", "ACCEPT")
    return kernel_state(flat)


@pytest.fixture
def sound(flat: Sandbox, before: State) -> Iterator[Sandbox]:
    """Give the host with its world as it was, and see that it is so afterwards."""
    yield flat
    flat.invoke("drill.stop", check=False)
    assert unlike(before, kernel_state(flat)) == []


def read(host: Sandbox, *words: str, code: int = 0) -> dict[str, Any]:
    done = host.invoke(*words, "--json", check=False)
    assert done.returncode == code, done.stderr + done.stdout
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_student_finds_no_help_in_up_takes_a_hint_repairs_and_is_in_the_table(
    sound: Sandbox,
) -> None:
    host = sound
    begun = read(host, "drill.start", "not-started-again", "--student", "Ada")
    assert "nobody can put anything into a cart" in begun["symptom"]
    refused = host.invoke("net.up", check=False)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert "a drill is under way; repair it by hand, or run" in refused.stderr
    assert read(host, "drill.hint")["points"] == 90
    assert read(host, "drill.check", code=1)["symptom_gone"] is False
    host.run("sh", "-c", START)
    solved = read(host, "drill.check")
    assert re.fullmatch(r"solved in .* with 1 hint: 90 points", solved["sentence"])
    attempts = read(host, "drill.report", "--student", "Ada")["attempts"]
    assert [(each["outcome"], each["hints"], each["checks"]) for each in attempts] == [
        ("solved", 1, 1)
    ]
    assert host.invoke("drill.check", check=False).returncode == 2


def test_whatever_a_student_destroys_there_is_a_way_back(sound: Sandbox) -> None:
    host = sound
    host.run("ip", "link", "add", "other0", "type", "bridge")
    host.run("sh", "-c", STRANGE)
    try:
        host.invoke("drill.start", "frozen", "--seed", "1")
        for command in HAVOC:
            host.run("sh", "-c", command)
        checked = host.invoke("drill.check", check=False)
        assert checked.returncode == 1, checked.stdout + checked.stderr
        stopped = host.invoke("drill.stop")
        assert "other0" in stopped.stdout  # a stranger's rule is told, and stays
        assert "-i other0" in host.run("iptables-save").stdout
        assert {each["state"] for each in host.status().values()} == {"healthy"}
    finally:
        host.run("iptables", "-D", "FORWARD", "-i", "other0", "-j", "ACCEPT", check=False)
        host.run("ip", "link", "del", "other0")


def test_a_start_that_is_killed_is_taken_back_by_stop(sound: Sandbox) -> None:
    host = sound
    record = f"/proc/{host.host}/root/run/twinstack/{host.instance}/drill.json"
    started = host.start(INVOKE, "drill.start", "not-started-again")
    deadline = time.monotonic() + 30
    while host.run("test", "-e", record, check=False).returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert "run drill.stop" in host.invoke("drill.check", check=False).stderr
    host.invoke("drill.stop")
    assert {each["state"] for each in host.status().values()} == {"healthy"}


def test_what_cannot_be_asked_is_one_line(sound: Sandbox) -> None:
    host = sound
    host.invoke("drill.start", "not-started-again")
    for words, code, says in (
        (("drill.start", "frozen"), 1, "a drill is under way in the net world"),
        (("drill.start", "nothing-like-it"), 64, "is unknown"),
        (("drill.start", "--level", "9"), 64, "--level"),
        (("drill.start", "--world", "moon"), 64, "--world"),
        (("drill.start", "--student", "x" * 99), 64, "--student"),
        (("drill.start", "--world", "docker"), 2, "docker world: is not up"),
        (("chaos", "--world", "net", "--what", "kill:redis-cache"), 1, "a drill is under way"),
    ):
        done = host.invoke(*words, check=False)
        assert done.returncode == code, (words, done.stderr)
        assert len(done.stderr.splitlines()) == 1, (words, done.stderr)
        assert says in done.stderr, words


def test_down_ends_the_drill_that_is_under_way(flat: Sandbox, before: State) -> None:
    flat.invoke("drill.start", "frozen", "--seed", "1")
    assert "drill frozen" in flat.invoke("net.down").stdout
    assert flat.invoke("drill.stop", check=False).returncode == 2
    assert "no drill is under way" in flat.invoke("drill.hint", check=False).stderr
    assert flat.run("ls", "/run/twinstack", check=False).stdout == ""
    flat.invoke("net.up")
    assert unlike(before, kernel_state(flat)) == []
