"""What is deleted or altered by hand is named by status, and up repairs just that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.drive import Driver, driver
from tests.support.kernel_state import kernel_state, unlike
from tests.support.sampling import sampled
from tests.support.sandbox import Sandbox

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]


@dataclass(frozen=True)
class Drift:
    """What is done by hand, the steps that must answer it, whose processes may change."""

    by_hand: str
    steps: frozenset[str]
    renewed: frozenset[str] = frozenset()


def drift(by_hand: str, *steps: str, renewed: str = "") -> Drift:
    return Drift(by_hand, frozenset(steps), frozenset(renewed.split()))


ORDER = "ve-order"
IN_ORDER = "ip -n order-service"
CHAIN = "TS-INSTANCE"
CGROUP = "/sys/fs/cgroup/*/twinstack/INSTANCE/order-service"
DRIFTS = {
    "link gone": drift(f"ip link del {ORDER}", f"veth {ORDER}"),
    "link down": drift(f"ip link set {ORDER} down", f"veth {ORDER}"),
    "link off its bridge": drift(f"ip link set {ORDER} nomaster", f"veth {ORDER}"),
    "link of another mtu": drift(  # the kernel lowers the bridge's with it
        f"ip link set {ORDER} mtu 1400", f"veth {ORDER}", "bridge br-app"
    ),
    "links too narrow for IPv6": drift(  # they have nothing of it then, until they are wide again
        f"ip link set {ORDER} mtu 1200; ip link set br-app mtu 1200",
        f"veth {ORDER}",
        "bridge br-app",
    ),
    "inner link of another pair": drift(
        f"{IN_ORDER} link set eth0 down; {IN_ORDER} link set eth0 name old;"
        f" {IN_ORDER} link add eth0 type veth peer name other;"
        f" {IN_ORDER} link set eth0 addrgenmode none up; {IN_ORDER} link set other up;"
        f" {IN_ORDER} address add 10.0.0.40/24 dev eth0; {IN_ORDER} link set old up;"
        f" {IN_ORDER} route add default via 10.0.0.1",
        f"veth {ORDER}",
    ),
    "link without mark": drift(f"ip link set {ORDER} alias ''", f"veth {ORDER}"),
    "link out of our group": drift(f"ip link set {ORDER} group 0", f"veth {ORDER}"),
    "inner link down": drift(f"{IN_ORDER} link set eth0 down", f"veth {ORDER}"),
    "inner address gone": drift(f"{IN_ORDER} address flush dev eth0", f"veth {ORDER}"),
    "inner address added": drift(f"{IN_ORDER} address add 10.0.0.77/24 dev eth0", f"veth {ORDER}"),
    "default route gone": drift(f"{IN_ORDER} route del default", f"veth {ORDER}"),
    "default route altered": drift(
        f"{IN_ORDER} route replace default via 10.0.0.50", f"veth {ORDER}"
    ),
    "loopback down": drift(f"{IN_ORDER} link set lo down", "namespace order-service"),
    "switch inside": drift(
        "nsenter --net=/run/netns/order-service sysctl -qw net.ipv4.conf.all.accept_redirects=1",
        "namespace order-service",
    ),
    "namespace gone": drift(
        "ip netns del order-service",
        "namespace order-service",
        f"veth {ORDER}",
        "process order-service",
        renewed="order-service",
    ),
    "bridge down": drift("ip link set br-app down", "bridge br-app"),
    "bridge address gone": drift("ip address flush dev br-app", "bridge br-app"),
    "bridge without filter": drift(
        "ip link set br-app type bridge nf_call_iptables 0", "bridge br-app"
    ),
    "forwarding off": drift("sysctl -qw net.ipv4.ip_forward=0", "sysctl net.ipv4.ip_forward"),
    "localnet off": drift(
        "sysctl -qw net.ipv4.conf.br-app.route_localnet=0",
        "sysctl net.ipv4.conf.br-app.route_localnet",
    ),
    "chain emptied": drift(f"iptables -t nat -F {CHAIN}-POSTROUTING", "rules nat POSTROUTING"),
    "rule gone": drift(f"iptables -t nat -D {CHAIN}-POSTROUTING 1", "rules nat POSTROUTING"),
    "rules in another order": drift(
        f"rule=$(iptables -t nat -S {CHAIN}-POSTROUTING 1);"
        f' iptables -t nat -D {CHAIN}-POSTROUTING 1; eval "iptables -t nat $rule"',
        "rules nat POSTROUTING",
    ),
    "jump gone": drift("iptables -t nat -D PREROUTING 1", "rules nat PREROUTING"),
    "memory limit": drift(
        "echo 100000000 > $(ls -d /sys/fs/cgroup/memory/twinstack/INSTANCE/order-service)"
        "/memory.limit_in_bytes",
        "cgroup order-service",
    ),
    "pids limit": drift(
        "echo 9999 > /sys/fs/cgroup/pids/twinstack/INSTANCE/order-service/pids.max",
        "cgroup order-service",
    ),
    "hosts file": drift(
        "echo 10.0.0.99 redis-cache >> /run/twinstack/INSTANCE/conf/hosts",
        "file /run/twinstack/INSTANCE/conf/hosts",
    ),
    "directory opened": drift(
        "chmod 777 /run/twinstack/INSTANCE/launch", "directory /run/twinstack/INSTANCE/launch"
    ),
    "a replica's process stopped for good": drift(
        "PYTHONPATH=$(ls -dt /var/lib/twinstack/software/*/supervisor | head -1)"
        " /usr/bin/python3 -m supervisor.supervisorctl"
        " -c /run/twinstack/INSTANCE/supervisord.conf stop order-service",
        "process order-service",
        renewed="order-service",
    ),
}


SAMPLE = (
    "link gone",
    "default route altered",
    "namespace gone",
    "bridge without filter",
    "forwarding off",
    "rules in another order",
    "memory limit",
    "hosts file",
    "a replica's process stopped for good",
)
#: For these `net.status`, as a user runs it, names what `up` would do.
IN_STATUS = ("namespace gone", "memory limit")


@pytest.fixture(scope="module")
def drive(host: Sandbox) -> Iterator[Driver]:
    with driver(host, bare=False) as made:
        made.order("up")
        yield made
        made.order("down")


def pids(drive: Driver) -> dict[str, int]:
    by_replica: dict[str, int] = drive.order("pids").answer
    return by_replica


@pytest.mark.parametrize("what", sampled(DRIFTS, SAMPLE))
def test_a_change_by_hand_is_named_and_undone(what: str, host: Sandbox, drive: Driver):
    given = DRIFTS[what]
    expected = {step.replace("INSTANCE", host.instance) for step in given.steps}
    drive.order("up")  # a case before that failed must not fail this one
    before, running = kernel_state(host), pids(drive)
    host.run("sh", "-c", given.by_hand.replace("INSTANCE", host.instance))
    assert set(drive.steps("up")) == expected
    if what in IN_STATUS:
        status = host.invoke("net.status", check=False)
        assert status.returncode == 1
        assert all(step in status.stdout for step in expected)
    drive.order("up")
    assert drive.steps("up") == []
    assert unlike(before, kernel_state(host)) == []
    now = pids(drive)
    assert {name for name in running if running[name] != now.get(name)} == given.renewed


def test_a_bridge_that_is_gone_comes_back_with_all_that_hung_on_it(host: Sandbox, drive: Driver):
    drive.order("up")
    before, running = kernel_state(host), pids(drive)
    host.run("ip", "link", "del", "br-app")
    steps = drive.steps("up")
    assert steps[0] == "bridge br-app"
    assert {step.split()[0] for step in steps} == {"bridge", "sysctl", "veth"}
    drive.order("up")
    assert unlike(before, kernel_state(host)) == []
    assert pids(drive) == running


def test_a_supervisor_that_is_dead_is_started_with_everything_it_ran(host: Sandbox, drive: Driver):
    drive.order("up")
    running = pids(drive)
    file = f"/run/twinstack/{host.instance}/supervisord.pid"
    host.run("sh", "-c", f"kill -9 $(cat {file})")
    steps = drive.steps("up")
    assert steps[0] == "supervisor"
    assert {step.split()[0] for step in steps} == {"supervisor", "process"}
    drive.order("up")
    assert drive.steps("up") == []
    now = pids(drive)
    assert set(now) == set(running)
    assert not set(now.values()) & set(running.values())
    for pid in running.values():
        host.run("sh", "-c", f"! test -e /proc/{pid} || grep -q Z /proc/{pid}/stat")
