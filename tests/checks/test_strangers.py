"""A foreign object with one of our names is not touched: before up, beside us, after down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.drive import Driver, driver
from tests.support.sandbox import Sandbox, differences, eventually, snapshot

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]


@pytest.fixture
def drive(host: Sandbox) -> Iterator[Driver]:
    with driver(host, bare=True) as made:
        yield made
        made.order("down", check=False)


TAKEN = {
    "a bridge": ("ip link add br-app type bridge", "ip link del br-app"),
    "an altname": (
        "ip link add mine type bridge; ip link property add dev mine altname br-app",
        "ip link del mine",
    ),
    "a veth": ("ip link add ve-nginx-lb type veth peer name other", "ip link del ve-nginx-lb"),
    "a namespace": ("ip netns add nginx-lb", "ip netns del nginx-lb"),
    "a route": ("ip route add 10.0.0.0/25 dev uplink", "ip route del 10.0.0.0/25"),
    "a rule in our chain": (
        "iptables -N TS-INSTANCE-FORWARD; iptables -A TS-INSTANCE-FORWARD -p tcp -j ACCEPT",
        "iptables -F TS-INSTANCE-FORWARD; iptables -X TS-INSTANCE-FORWARD",
    ),
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_foreign_object_is_one_clear_error_and_stays(what: str, host: Sandbox, drive: Driver):
    make, undo = (text.replace("INSTANCE", host.instance) for text in TAKEN[what])
    host.run("sh", "-c", make)
    try:
        before = snapshot(host, but=("run",))
        done = host.invoke("net.up", "--no-services", check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert differences(before, snapshot(host, but=("run",))) == [], done.stderr
    finally:
        host.run("sh", "-c", undo)


def test_a_busy_port_is_one_clear_error(host: Sandbox, drive: Driver):
    words = ("python3", "-m", "http.server", "8080", "--bind", "127.0.0.1")
    listener = host.start(*words)
    try:
        eventually(lambda: ":8080" in host.run("ss", "-Hltn").stdout, within_s=10)
        before = snapshot(host)
        done = host.invoke("net.up", "--no-services", check=False)
        assert (done.returncode, "8080" in done.stderr) == (1, True)
        assert differences(before, snapshot(host)) == []
    finally:
        listener.kill()
        listener.wait()


def test_a_foreign_namespace_with_a_name_of_ours_outlives_down(host: Sandbox, drive: Driver):
    drive.order("up")
    host.run("sh", "-c", "ip netns del order-service; ip netns add order-service")
    inode = host.run("stat", "-Lc", "%i", "/run/netns/order-service").stdout
    try:
        drive.order("down")
        assert host.run("stat", "-Lc", "%i", "/run/netns/order-service").stdout == inode
        assert host.run("ip", "netns", "list").stdout.split() == ["order-service"]
    finally:
        host.run("ip", "netns", "del", "order-service", check=False)


def test_a_foreign_link_with_a_name_of_ours_outlives_down(host: Sandbox, drive: Driver):
    drive.order("up")
    made = "ip link add ve-nginx-lb type veth peer name other"
    host.run("sh", "-c", f"ip link del ve-nginx-lb; {made}; ip link set ve-nginx-lb alias theirs")
    try:
        drive.order("down")
        assert "other" in host.run("ip", "-br", "link", "show", "ve-nginx-lb").stdout
    finally:
        host.run("ip", "link", "del", "ve-nginx-lb", check=False)


def test_namespaces_that_come_and_go_beside_us_disturb_nothing(host: Sandbox, drive: Driver):
    script = "while :; do for n in z1 z2 z3; do ip netns add $n; ip netns del $n; done; done"
    churn = host.start("sh", "-c", script, stderr=-3)
    try:
        for _ in range(4):
            drive.order("up")
            assert drive.steps("up") == []
            drive.order("down")
    finally:
        churn.kill()
        churn.wait()
        host.run("sh", "-c", "for n in z1 z2 z3; do ip netns del $n; done; true", check=False)


ANOTHER_FIRST = (
    "ip -n order-service a flush dev eth0; for a in 99 40; do"
    " ip -n order-service a add 10.0.0.$a/24 dev eth0; done"
)


@pytest.mark.parametrize(
    "by_hand",
    [
        "ip link set ve-order netns redis-cache",
        "ip link set ve-order down; ip link set ve-order name foo",
        ANOTHER_FIRST,
    ],
)
def test_a_pair_that_was_torn_apart_is_whole_after_one_up(
    by_hand: str, host: Sandbox, drive: Driver
):
    drive.order("up")
    host.run("sh", "-c", by_hand)
    assert drive.steps("up") != []
    drive.order("up")
    assert drive.steps("up") == []
    host.run("ip", "netns", "exec", "order-service", "ip", "route", "get", "10.0.0.1")
