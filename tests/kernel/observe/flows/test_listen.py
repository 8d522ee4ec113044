"""Flows are the kernel's: conntrack's entries and the packets that NFLOG tells of, by time."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support import contract
from tests.support.sandbox import (
    HOST_ADDRESS,
    INTERNET_ADDRESS,
    INVOKE,
    Sandbox,
    eventually,
    snapshot,
)

pytestmark = pytest.mark.kernel
#: Listens where it is told and accepts nothing; the kernel shakes hands for it.
LISTEN = """
import socket, sys
kept = [socket.create_server(("0.0.0.0", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""
CONNECT = """
import socket, sys
with socket.socket() as tried:
    tried.settimeout(1)
    try:
        tried.connect((sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
"""


@pytest.fixture(scope="module", autouse=True)
def network(host: Sandbox) -> Iterator[None]:
    """Bring the network of the namespace world up, with two listeners in it."""
    host.invoke("net.up", "--no-services")
    with listening(host, "nginx-lb", 80), listening(host, "redis-cache", 6379):
        yield


@contextmanager
def listening(host: Sandbox, name: str, port: int) -> Iterator[None]:
    words = ("nsenter", f"--net=/run/netns/{name}", "/usr/bin/python3", "-c", LISTEN, str(port))
    process = host.start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.wait()


def connect(host: Sandbox, name: str, address: str, port: int) -> None:
    """Try to connect from a namespace; "" is the host itself, "internet" the other machine."""
    inside = ("nsenter", f"--net=/run/netns/{name}") if name not in {"", "internet"} else ()
    words = (*inside, "/usr/bin/python3", "-c", CONNECT, address, str(port))
    host.run(*words, where="internet" if name == "internet" else "host")


@contextmanager
def following(host: Sandbox, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = host.start(
        *(INVOKE, "flows", "--follow", "--json", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def listens(host: Sandbox) -> bool:
    """Tell whether a program of the host listens to NFLOG: its sockets are 7311's peer."""
    return "7311" in host.run("cat", "/proc/net/netfilter/nfnetlink_log").stdout.split()


def left_by_nobody(host: Sandbox) -> dict[str, str]:
    """Write down the host with its netfilter sysctls, but for what a connection teaches it."""
    sysctls = host.run("sh", "-c", "sysctl -a -r net.netfilter | grep -v conntrack_count").stdout
    but = ("forwarding entries", "neighbours")
    return {**snapshot(host, but=but), "netfilter": sysctls}


def seen(flow: dict[str, Any]) -> tuple[str, str, int, str]:
    return flow["source"]["name"], flow["destination"]["name"], flow["port"], flow["verdict"]


def test_the_table_is_listed_by_the_time_of_the_last_packet(host: Sandbox) -> None:
    host.run("conntrack", "-F", check=False)
    connect(host, "internet", HOST_ADDRESS, 8080)
    time.sleep(2)  # the kernel's timers are of seconds
    connect(host, "product-service-2", "10.0.0.50", 6379)
    flows = [json.loads(line) for line in host.invoke("flows", "--json").stdout.splitlines()]
    assert list(map(seen, flows)) == [
        (INTERNET_ADDRESS, "nginx-lb", 80, "allowed"),
        ("product-service-2", "redis-cache", 6379, "allowed"),
    ]
    assert [flow["rule"] for flow in flows] == [
        "flow from world to nginx-lb",
        "flow from product-service to redis-cache",
    ]
    assert flows[0]["bytes"] is None  # nf_conntrack_acct is 0
    (last,) = host.invoke("flows", "--since", "1h", "--last", "1").stdout.splitlines()
    assert "product-service-2 → redis-cache" in last
    later = host.invoke("flows", "--since", "2100-01-01T00:00:00Z")
    assert (later.stdout, later.stderr) == ("", "no connection like that is tracked\n")
    (to_redis,) = host.invoke("flows", "--to", "redis-cache").stdout.splitlines()
    assert INTERNET_ADDRESS not in to_redis


def test_bytes_are_shown_where_the_kernel_counts_them(host: Sandbox) -> None:
    host.run("conntrack", "-F", check=False)
    host.run("sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1")
    try:
        connect(host, "", "10.0.0.10", 80)
    finally:
        host.run("sysctl", "-qw", "net.netfilter.nf_conntrack_acct=0")
    (flow,) = [json.loads(line) for line in host.invoke("flows", "--json").stdout.splitlines()]
    listed = host.run("conntrack", "-L").stdout.split()
    expected = sum(int(word[6:]) for word in listed if word.startswith("bytes="))
    assert flow["bytes"] == expected > 0


def test_following_tells_of_connections_and_of_denied_packets_and_leaves_nothing(
    host: Sandbox,
) -> None:
    connect(host, "product-service", "10.0.0.50", 6379)
    before = left_by_nobody(host)
    with following(host) as process:
        eventually(lambda: listens(host), within_s=20)
        connect(host, "product-service-3", "10.0.0.50", 6379)
        connect(host, "nginx-lb", "10.0.0.50", 6379)
        assert process.stdout is not None
        flows: list[dict[str, Any]] = []
        while not any(flow["verdict"] == "dropped" for flow in flows):
            flows += contract.check(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)
        assert process.returncode == 130
    assert left_by_nobody(host) == before
    new = ("product-service-3", "redis-cache", 6379, "allowed")
    assert list(map(seen, flows)).count(new) == 1
    assert seen(flows[-1]) == ("nginx-lb", "redis-cache", 6379, "dropped")
    assert flows[-1]["rule"].endswith("-DENY: no flow")
    assert [flow["time"] for flow in flows] == sorted(flow["time"] for flow in flows)


def test_only_what_is_asked_for_is_listened_to(host: Sandbox) -> None:
    with following(host, "--verdict", "dropped", "--from", "nginx-lb") as process:
        eventually(lambda: listens(host), within_s=20)
        connect(host, "api-gateway", "10.0.0.50", 6379)
        connect(host, "product-service", "10.0.0.50", 6379)
        connect(host, "nginx-lb", "10.0.0.50", 6379)
        assert process.stdout is not None
        (flow,) = contract.check(process.stdout.readline())
    assert seen(flow) == ("nginx-lb", "redis-cache", 6379, "dropped")


def test_what_was_denied_before_is_counted_since_nobody_kept_it(host: Sandbox) -> None:
    connect(host, "nginx-lb", "10.0.0.50", 6379)
    done = host.invoke("flows", "--verdict", "dropped")
    assert done.stdout == ""
    assert "dropped since up" in done.stderr
