"""The declared flows and nothing else are open: for random flows, rule by rule, past the rules."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.core_cases import written
from tests.support.project import ROOT
from tests.support.sandbox import HOST_ADDRESS, INVOKE, Sandbox

pytestmark = pytest.mark.kernel
SETS = 100
Tell = Callable[[str], None]


@pytest.fixture(autouse=True)
def fresh_host(host: Sandbox) -> Iterator[None]:
    """Take away what a test brought up, or inserted beside it."""
    yield
    host.invoke("clean")
    host.run("iptables", "-F", "FORWARD")
    host.run("ip", "route", "del", "10.0.0.0/24", where="internet", check=False)


def inside(host: Sandbox, *words: str, timeout_s: float = 1800) -> dict[str, Any]:
    """Have policy_inside.py work in there."""
    command = (
        "env",
        f"PYTHONPATH={ROOT}",
        sys.executable,
        "-m",
        "tests.support.policy_inside",
        words[0],
        host.instance,
        *words[1:],
    )
    document: dict[str, Any] = json.loads(host.run(*command, timeout_s=timeout_s).stdout)
    return document


def verified(host: Sandbox) -> tuple[int, dict[str, Any]]:
    done = host.invoke("policy.verify", "--json", check=False)
    assert done.stdout, done.stderr
    (net,) = json.loads(done.stdout)["worlds"]
    return done.returncode, net


@pytest.mark.parametrize("shape", ["flat", "tiered"])
@pytest.mark.parametrize("bridges_filter", ["0", "1"])
def test_the_truth_table_has_no_wrong_cell(
    host: Sandbox, tell: Tell, shape: str, bridges_filter: str
) -> None:
    host.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={bridges_filter}")
    host.invoke("net.up", "--no-services", "--shape", shape)
    code, verdict = verified(host)
    tell(
        f"{shape}, bridge-nf-call-iptables={bridges_filter}: {len(verdict['cells'])} cells, "
        f"{len(verdict['wrong'])} wrong, {verdict['rules']} rules, {verdict['seconds']} s"
    )
    assert (code, verdict["wrong"], verdict["rule_differences"]) == (0, [], [])
    assert verdict["seconds"] < 10
    assert sum(cell["expected"] for cell in verdict["cells"]) == 49


def test_without_a_policy_everything_is_open_and_afterwards_closed_again(host: Sandbox) -> None:
    host.invoke("net.up", "--no-services", "--no-policy")
    assert host.invoke("net.status", check=False).returncode == 0
    code, verdict = verified(host)
    assert code == 1
    assert verdict["unfiltered_bridges"] == ["br-app"]
    between = [
        cell
        for cell in verdict["cells"]
        if cell["protocol"] == "tcp" and cell["destination"] not in {"host", "outside"}
    ]
    assert all(cell["observed"] for cell in between)
    host.invoke("net.up", "--no-services")
    assert verified(host)[0] == 0


@pytest.mark.parametrize(
    ("harm", "cell"),
    [
        pytest.param(
            "ip link set br-app type bridge nf_call_iptables 0;"
            "sysctl -qw net.bridge.bridge-nf-call-iptables=0",
            ("nginx-lb", "redis-cache", "tcp"),
            id="frames that pass no iptables",
        ),
        pytest.param(
            "iptables -I FORWARD -j ACCEPT",
            ("nginx-lb", "redis-cache", "tcp"),
            id="a foreign rule before ours",
        ),
        pytest.param(
            "for n in nginx-lb redis-cache; do"
            " ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0"
            " net.ipv6.conf.eth0.disable_ipv6=0;"
            " ip -n $n link set eth0 addrgenmode eui64;"
            " ip -n $n link set eth0 down; ip -n $n link set eth0 up; done; sleep 2.5",
            ("nginx-lb", "redis-cache", "tcp6"),
            id="IPv6 turned on inside",
        ),
    ],
)
def test_a_path_past_the_rules_is_noticed(
    host: Sandbox, harm: str, cell: tuple[str, str, str]
) -> None:
    host.invoke("net.up", "--no-services")
    host.run("sh", "-ec", harm)
    code, verdict = verified(host)
    wrong = {(cell["source"], cell["destination"], cell["protocol"]) for cell in verdict["wrong"]}
    assert code == 1
    assert cell in wrong
    assert all(cell["cause"] for cell in verdict["wrong"])
    assert host.invoke("net.status", check=False).returncode == 1 or "FORWARD -j" in harm


def test_a_world_that_is_not_up_cannot_be_verified(host: Sandbox) -> None:
    done = host.invoke("policy.verify", check=False)
    assert done.returncode == 2
    assert 'run "invoke net.up"' in done.stderr


OPEN_MANY = """
import select, socket, sys
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
opening = []
for _ in range(count):
    opened = socket.socket()
    opened.setblocking(False)
    opened.connect_ex((host, port))
    opening.append(opened)
poll = select.poll()
for opened in opening:
    poll.register(opened, select.POLLOUT)
done = set()
for _ in range(8):
    done |= {fd for fd, event in poll.poll(50) if event == select.POLLOUT}
print(len(done))
"""
LISTEN = (
    "import socket,time;s=socket.create_server(('',80),backlog=1024);"
    "print('ready',flush=True);time.sleep(60)"
)


def opened(host: Sandbox, address: str, port: int, count: int, where: str) -> int:
    command = ("/usr/bin/python3", "-c", OPEN_MANY, address, str(port), str(count))
    return int(host.run(*command, where=where).stdout)


def test_the_edge_lets_one_client_in_so_often_and_no_more(host: Sandbox, tmp_path: Path) -> None:
    topology = tmp_path / "topology.yml"
    topology.write_text(
        written(lambda d: d.update(edge={"new_connections_per_second": 2, "burst": 10}))
    )

    def up() -> None:
        host.invoke("net.up", "--no-services", TWINSTACK_TOPOLOGY=str(topology))

    up()
    listener = host.start(
        "ip", "netns", "exec", "nginx-lb", "/usr/bin/python3", "-c", LISTEN, stdout=subprocess.PIPE
    )
    try:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        host.run("ip", "route", "add", "10.0.0.0/24", "via", HOST_ADDRESS, where="internet")
        by_port = opened(host, HOST_ADDRESS, 8080, 60, "internet")
        assert 10 <= by_port <= 14
        assert opened(host, "10.0.0.10", 80, 60, "internet") <= 4  # the same client, the same share
        assert 10 <= opened(host, "10.0.0.10", 80, 60, "host") <= 14  # another client has its own
        topology.write_text(
            written(lambda d: d.update(edge={"new_connections_per_second": 1000, "burst": 1000}))
        )
        up()
        assert opened(host, HOST_ADDRESS, 8080, 60, "internet") == 60
        topology.write_text(written(lambda d: d["edge"].update(connections=20)))
        up()
        assert opened(host, HOST_ADDRESS, 8080, 60, "internet") == 20  # and none is closed
        assert opened(host, "10.0.0.10", 80, 60, "internet") == 0
        assert opened(host, "10.0.0.10", 80, 60, "host") == 20
    finally:
        listener.kill()
        listener.wait()


@pytest.mark.parametrize(("seconds", "ends"), [("4", 0), ("60", 130)])
def test_a_denied_packet_is_listed_with_both_names_and_counted(
    host: Sandbox, seconds: str, ends: int
) -> None:
    host.invoke("net.up", "--no-services")
    words = ("policy.drops", "--seconds", seconds, "--json")
    listening = host.start(INVOKE, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert listening.stderr is not None
    assert "listening" in listening.stderr.readline()
    time.sleep(0.5)
    enter = ("ip", "netns", "exec", "nginx-lb", "/usr/bin/python3", "-c", OPEN_MANY)
    host.run(*enter, "10.0.0.50", "6379", "100")
    if ends:  # what was heard is printed, and the time that it took
        listening.send_signal(signal.SIGINT)
    drops = json.loads(listening.communicate(timeout=30)[0])
    assert (listening.returncode, drops["interrupted"]) == (ends, bool(ends))
    assert drops["seconds"] <= 20
    (net,) = drops["worlds"]
    (flow,) = net["flows"]
    assert (flow["source"], flow["destination"]) == ("nginx-lb", "redis-cache")
    assert (flow["protocol"], flow["port"]) == ("tcp", 6379)
    assert net["denied"] >= 100 > flow["logged"] >= 20  # all are counted, some are logged
    assert net["since_up"] >= net["denied"]


def test_generated_flows_are_what_is_open(host: Sandbox, full: bool, tell: Tell) -> None:
    result = inside(host, "flows", "0", str(SETS if full else 12))
    tell(
        f"{result['sets']} sets of flows, {result['cells']} cells, {result['open']} to be open, "
        f"{len(result['failed'])} sets failed, {result['seconds']} s"
    )
    assert result["failed"] == []
    assert result["open"] > 20 * result["sets"]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_no_rule_can_be_deleted_or_turned_round_unnoticed(
    host: Sandbox, full: bool, tell: Tell, shape: str
) -> None:
    result = inside(host, "strength", shape, "1000" if full else "12", "7")
    noticed = result["by_probes"] + len(result["by_rules"])
    tell(
        f"{shape}: {noticed} of {noticed + len(result['unnoticed'])} alterations noticed: "
        f"{result['by_probes']} by probes, {len(result['by_rules'])} by comparing rules alone, "
        f"{result['seconds']} s"
    )
    assert (result["before"], result["after"], result["unnoticed"]) == ([], [], [])
    assert noticed >= (100 if full else 12)
