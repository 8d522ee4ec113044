"""Connections are reported as the kernel has them: compared with conntrack(8), ss(8), pyroute2.

Everything is in a host of the test's own; the load is bounded and goes to its own addresses.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.looker import Looker, looker
from tests.support.project import ROOT
from tests.support.sandbox import HOST_ADDRESS, INTERNET_ADDRESS, Sandbox, eventually

pytestmark = pytest.mark.kernel
Look = Callable[[], dict[str, Any]]

#: Makes sockets, so many of a kind, and holds them: it listens (and never accepts), serves (and
#: closes when the client has), connects, connects and closes, sends a datagram or an echo request.
HOLD = """
import socket, sys, threading
kept = []
def close_after(listener):
    while True:
        with listener.accept()[0] as one:
            one.recv(1)
for word in sys.argv[1:]:
    kind, address, port, times = word.split(",")
    for _ in range(int(times)):
        if kind == "listen":
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            kept.append(socket.create_server((address, int(port)), family=family, backlog=512))
        elif kind == "serve":
            listener = socket.create_server((address, int(port)), backlog=512)
            threading.Thread(target=close_after, args=(listener,), daemon=True).start()
        elif kind == "tcp":
            kept.append(socket.create_connection((address, int(port)), timeout=5))
        elif kind == "ended":
            with socket.create_connection((address, int(port)), timeout=5):
                pass
        elif kind == "icmp":
            kept.append(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
            kept[-1].sendto(bytes((8, 0, 0xF7, 0xFF, 0, 0, 0, 0)), (address, 0))  # an echo request
        else:
            kept.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            kept[-1].sendto(b"?", (address, int(port)))
print("ready", flush=True)
sys.stdin.read()
"""
#: Sends bare SYNs from addresses of nobody's, a datagram each; bounded by its last word.
FLOOD = """
import socket, struct, sys
source, target, port, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def total(data):
    words = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    words = (words >> 16) + (words & 0xFFFF)
    return ~(words + (words >> 16)) & 0xFFFF
for number in range(times):
    ends = socket.inet_aton(source + str(1 + number % 250)) + socket.inet_aton(target)
    def segment(check):
        return struct.pack("!HHIIBBHHH", 1025 + number, port, number, 0, 5 << 4, 2, 64240, check, 0)
    sum_ = total(ends + struct.pack("!BBH", 0, 6, 20) + segment(0))
    raw.sendto(struct.pack("!BBHHHBBH", 0x45, 0, 40, number, 0, 64, 6, 0) + ends + segment(sum_),
               (target, 0))
"""
READ = """
import json, sys
from twinstack.linux.netlink import NETLINK, Netlink
from twinstack.linux.conntrack import EVERY, IPCTNL, read_entry
from pyroute2 import NFCTSocket
with Netlink(NETLINK.NETFILTER) as netlink:
    ours = [read_entry(body) for body in netlink.dump(IPCTNL.GET, EVERY)]
def text(raw): return raw.hex()
def way(one): return [text(one.source), text(one.destination), one.source_port,
                      one.destination_port]
from ipaddress import ip_address
theirs = []
for entry in NFCTSocket().dump():
    ways = []
    for name in ("CTA_TUPLE_ORIG", "CTA_TUPLE_REPLY"):
        part = entry.get_attr(name)
        ip, protocol = part.get_attr("CTA_TUPLE_IP"), part.get_attr("CTA_TUPLE_PROTO")
        ends = [ip.get_attr(f"CTA_IP_V4_{end}") or ip.get_attr(f"CTA_IP_V6_{end}")
                for end in ("SRC", "DST")]
        ports = [protocol.get_attr(f"CTA_PROTO_{end}_PORT") or 0 for end in ("SRC", "DST")]
        ways.append([*(ip_address(one).packed.hex() for one in ends), *ports])
    theirs.append([protocol.get_attr("CTA_PROTO_NUM"), *ways])
print(json.dumps({"ours": [[one.protocol, way(one.original), way(one.reply)] for one in ours],
                  "theirs": theirs}))
"""


@pytest.fixture(scope="module", autouse=True)
def network(host: Sandbox) -> None:
    """Bring the network of the namespace world up, and nothing that runs in it."""
    host.invoke("net.up", "--no-services")


@pytest.fixture(scope="module")
def looker_in(host: Sandbox) -> Iterator[Looker]:
    with looker(host) as made:
        yield made


@pytest.fixture(scope="module")
def look(looker_in: Looker) -> Look:
    """Give a function that takes a snapshot, as `invoke conntrack --once --json` prints it."""
    return lambda: looker_in.connections()["json"]


@pytest.fixture(autouse=True)
def quiet(host: Sandbox) -> Iterator[None]:
    """Begin each test with an empty table, and wait until what it left is gone."""
    host.run("conntrack", "-F", check=False)
    yield
    # The kernel looks after half-open connections of a listener that is gone at their next turn.
    half = ("nsenter", "--net=/run/netns/nginx-lb", "ss", "-Htan", "state", "syn-recv")
    eventually(lambda: host.run(*half).stdout == "", within_s=20)


@contextmanager
def holding(host: Sandbox, name: str, *words: str, where: str = "host") -> Iterator[None]:
    """Keep sockets in a namespace ("" for the host itself) while the block lasts."""
    enter = ["nsenter", f"--net=/run/netns/{name}", "--"] if name else []
    process = subprocess.Popen(
        host.command([*enter, "/usr/bin/python3", "-c", HOLD, *words], where=where),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=host.environment,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.wait()


def listed(host: Sandbox) -> Counter[tuple[str, ...]]:
    """Count what conntrack(8) lists: protocol, state, and the addresses both ways."""
    counted: Counter[tuple[str, ...]] = Counter()
    for line in host.run("conntrack", "-L").stdout.splitlines():
        words = line.split()
        state = words[3] if words[0] == "tcp" else ""
        ends = re.findall(r"(?:src|dst|dport)=(\S+)", line)
        counted[words[0], state, *ends] += 1
    return counted


@contextmanager
def busy(host: Sandbox) -> Iterator[None]:
    """Make a quiet host with connections of every kind, that stay as they are."""
    with (
        holding(host, "nginx-lb", "listen,0.0.0.0,80,1"),
        holding(host, "api-gateway", "listen,0.0.0.0,3000,1"),
        holding(host, "redis-cache", "listen,0.0.0.0,6379,1"),
        holding(host, "nginx-lb", "tcp,10.0.0.20,3000,7"),
        holding(host, "product-service", "tcp,10.0.0.50,6379,5", f"udp,{INTERNET_ADDRESS},53,2"),
        holding(host, "product-service-2", "tcp,10.0.0.50,6379,3"),
        holding(
            host,
            "",
            "tcp,10.0.0.10,80,2",
            "tcp,127.0.0.1,8080,4",
            f"tcp,{HOST_ADDRESS},8080,1",
            "ended,127.0.0.1,8080,6",
        ),
        holding(host, "", f"tcp,{HOST_ADDRESS},8080,3", where="internet"),
    ):
        yield


def test_counts_equal_those_of_conntrack_exactly(host: Sandbox, look: Look):
    with busy(host):
        snapshot = look()
        theirs = listed(host)
        entries = int(host.run("conntrack", "-C").stdout)
    assert snapshot["table"]["entries"] == snapshot["table"]["listed"] == theirs.total() == entries
    assert snapshot["table"]["of_world"] == entries  # nothing else is on this host
    ours: Counter[tuple[str, str]] = Counter()
    for entry in snapshot["pairs"]:
        for state, count in entry["states"].items():
            ours[entry["protocol"].lower(), state if entry["protocol"] == "TCP" else ""] += count
    by_state: Counter[tuple[str, str]] = Counter()
    for key, count in theirs.items():
        by_state[key[0], key[1]] += count
    assert ours == by_state
    pairs = {
        (entry["client"], entry["server"], entry["port"]): entry for entry in snapshot["pairs"]
    }
    assert pairs["nginx-lb", "api-gateway", 3000]["states"] == {"ESTABLISHED": 7}
    assert pairs["product-service", "redis-cache", 6379]["states"] == {"ESTABLISHED": 8}
    assert pairs["outside", "nginx-lb", 80]["states"] == {"ESTABLISHED": 3}
    assert pairs["product-service", "outside", 53]["states"] == {"UNREPLIED": 2}
    assert pairs["host", "nginx-lb", 80]["connections"] == 2 + 4 + 1 + 6


def test_translations_equal_those_of_conntrack(host: Sandbox, look: Look):
    with busy(host):
        snapshot = look()["translations"]
        theirs = listed(host)
    ours = Counter(
        {
            (
                entry["source"],
                entry["destination"],
                entry["new_source"],
                entry["new_destination"],
            ): entry["connections"]
            for entry in snapshot
        }
    )
    translated: Counter[tuple[str, str, str, str]] = Counter()
    for (_, _, source, to, port, back, by, _), count in theirs.items():
        # The reply's own ports: its dport is the client's, so the service's is looked up by name.
        new_port = {"10.0.0.10": "80"}.get(back, port)
        if (source, to) != (by, back):
            translated[source, f"{to}:{port}", by, f"{back}:{new_port}"] += count
    assert ours == translated
    assert ("127.0.0.1", "127.0.0.1:8080", "10.0.0.1", "10.0.0.10:80") in ours


def test_sockets_equal_those_of_ss_in_every_namespace(host: Sandbox, look: Look):
    with busy(host):
        snapshot = {entry["replica"]: entry["states"] for entry in look()["sockets"]}
        theirs = {}
        for name in set(snapshot) - {"host"}:
            lines = host.run("ip", "netns", "exec", name, "ss", "-Htan").stdout.splitlines()
            theirs[name] = Counter(line.split()[0] for line in lines)
    for name, states in theirs.items():
        spelled = {
            state.replace("ESTABLISHED", "ESTAB").replace("_", "-"): count
            for state, count in snapshot[name].items()
        }
        assert spelled == states, name
    assert snapshot["host"]["ESTABLISHED"] == 2 + 4 + 1


def test_every_entry_is_read_as_pyroute2_reads_it(host: Sandbox):
    """ICMP, UDP and IPv6 too; nothing tracks IPv6 before a rule asks for it."""
    host.run("ip6tables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW")
    try:
        asked = (f"icmp,{INTERNET_ADDRESS},0,1", "listen,::1,9,1", "tcp,::1,9,2")
        with busy(host), holding(host, "", *asked):
            words = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-c", READ)
            entries = json.loads(host.run(*words).stdout)
    finally:
        host.run("ip6tables", "-D", "INPUT", "-m", "conntrack", "--ctstate", "NEW")
    assert len(entries["ours"]) > 25
    assert {len(entry[1][0]) for entry in entries["ours"]} == {8, 32}  # both families, in hex
    assert {entry[0] for entry in entries["ours"]} >= {1, 6, 17}
    ours = [
        entry for entry in entries["ours"] if len(entry[1][0]) == 8
    ]  # pyroute2 asks for IPv4 alone
    assert sorted(ours) == sorted(entries["theirs"])
    assert [(entry[1][3], entry[2][2]) for entry in entries["ours"] if entry not in ours] == [
        (9, 9)
    ] * 2


def test_events_count_what_began_and_what_ended(host: Sandbox, looker_in: Looker):
    looker_in.listen()
    with (
        holding(host, "nginx-lb", "listen,0.0.0.0,80,1"),
        holding(host, "", "tcp,10.0.0.10,80,9"),
    ):
        events = looker_in.events()
        assert (events["new"], events["ended"], events["lost"]) == (9, 0, 0)
        host.run("conntrack", "-F", check=False)
        events = looker_in.events()
    assert (events["new"], events["ended"], events["lost"]) == (0, 9, 0)
    assert events["seconds"] > 0.5


def test_a_syn_flood_is_seen_by_the_table_and_by_the_service(host: Sandbox, look: Look):
    with holding(host, "nginx-lb", "listen,0.0.0.0,80,1"):
        host.run(
            "/usr/bin/python3",
            "-c",
            FLOOD,
            "198.51.100.",
            HOST_ADDRESS,
            "8080",
            "200",
            where="internet",
        )
        snapshot = look()
    half = {entry["server"]: entry["states"].get("SYN_RECV") for entry in snapshot["pairs"]}
    assert half == {"nginx-lb": 200}
    inside = next(entry for entry in snapshot["sockets"] if entry["replica"] == "nginx-lb")
    assert 190 <= inside["states"]["SYN_RECV"] <= 200  # a dump may miss one whose timer is at work
    assert [entry["rule"] for entry in snapshot["warnings"]] == ["SYN flood"]
    assert sum(entry["half_open"] for entry in snapshot["sources"]) == 200


def test_ended_connections_that_use_up_the_ports_are_a_warning(host: Sandbox, look: Look):
    piled_up = "api-gateway has 40 of 64 ports towards 10.0.0.30:5000"
    enter = ("nsenter", "--net=/run/netns/api-gateway")
    host.run(*enter, "sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40063")
    with (
        holding(host, "product-service", "serve,0.0.0.0,5000,1"),
        holding(host, "api-gateway", "ended,10.0.0.30,5000,40"),
    ):
        # The last of them may still be closing.
        eventually(lambda: piled_up in str(look()["warnings"]), within_s=15)
        snapshot = look()
    host.run(*enter, "sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65000")
    (warning,) = snapshot["warnings"]
    assert warning["rule"] == "TIME_WAIT pile-up"
    assert piled_up in warning["says"]


def test_a_namespace_that_tracks_for_itself_is_named(host: Sandbox, look: Look):
    enter = ("nsenter", "--net=/run/netns/redis-cache")
    host.run(*enter, "iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW")
    try:
        with holding(host, "redis-cache", "listen,127.0.0.1,1234,1", "tcp,127.0.0.1,1234,3"):
            snapshot = {entry["replica"]: entry["tracked"] for entry in look()["sockets"]}
            text = host.invoke("conntrack", "--seconds", "1").stdout
    finally:
        host.run(*enter, "iptables", "-F", "INPUT")
    assert {name: count for name, count in snapshot.items() if count and name != "host"} == {
        "redis-cache": 3
    }
    assert "tracked inside namespaces too: redis-cache (3)" in text
    assert re.search(r"^0.0 new and 0.0 ended a second, in 1.\d s, of the whole table$", text, re.M)
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_refusal_is_one_line(host: Sandbox):
    done = host.invoke("conntrack", "--world", "docker", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
