"""Several hosts joined by VXLAN: packet sizes, flooding, the policy, a crash at any step."""

from __future__ import annotations

import json
import random
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.drive import MOMENTS, Driver, driver
from tests.support.sandbox import Sandbox, differences, snapshot

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

HOSTS = 3
#: Other programs' data comes and goes.
BUT = ("data",)


def inside(host: Sandbox, work: str) -> dict[str, Any]:
    """Run some work of `overlay_inside` within the host."""
    printed = host.run(sys.executable, "-m", "tests.support.overlay_inside", work).stdout
    result: dict[str, Any] = json.loads(printed)
    return result


def faults(sizes: dict[str, Any]) -> list[str]:
    """Name what is wrong: a full packet must be answered, the next larger one refused here."""
    wrong = [f"{host} made {count}" for host, count in sizes["fragments"].items() if count]
    for request, answer in sizes["answers"].items():
        expected = "answers" if request.endswith(" 1422") else "message too long"
        if expected not in answer:
            wrong.append(f"{request}: {answer}")
    return wrong


@pytest.fixture(scope="module")
def empty(host: Sandbox) -> dict[str, str]:
    return snapshot(host, but=BUT)


@pytest.fixture(scope="module")
def open_network(host: Sandbox, empty: dict[str, str]) -> Sandbox:
    """Give the networks alone, of three tiers on three hosts, open to pings."""
    host.invoke(
        "overlay.up", "--hosts", str(HOSTS), "--shape", "tiered", "--no-services", "--no-policy"
    )
    return host


def test_a_full_packet_passes_between_all_hosts_and_a_larger_one_is_refused(open_network: Sandbox):
    sizes = inside(open_network, "full-size")
    assert len(sizes["answers"]) >= 2 * HOSTS * (HOSTS - 1)
    assert faults(sizes) == []


def test_another_instance_watches_no_underlay_but_its_own(open_network: Sandbox):
    task = "overlay.watch --seconds 1"
    ((code, output, errors),) = open_network.calls([task], TWINSTACK_INSTANCE="other").values()
    words = "link ve-host-1: is not watched: it belongs to instance "
    assert (code, output, errors.startswith(words)) == (2, "", True), errors


@pytest.fixture(scope="module")
def seen(open_network: Sandbox) -> dict[str, Any]:
    return inside(open_network, "watched")


def test_every_frame_goes_to_the_one_host_of_its_destination(seen: dict[str, Any]):
    assert seen["fine"]
    assert seen["flooded"] == seen["astray"] == seen["cut"] == 0
    assert seen["to_everybody"] == 0  # the bridge answers ARP itself
    assert seen["delivered"] == seen["frames"] > 100


def test_a_captured_frame_is_encapsulated_as_declared(seen: dict[str, Any]):
    assert len(seen["examples"]) >= HOSTS * (HOSTS - 1)
    for frame in seen["examples"].values():
        assert frame["outer_source"] in {"10.88.0.11", "10.88.0.12", "10.88.0.13"}
        assert frame["outer_destination"] in {"10.88.0.11", "10.88.0.12", "10.88.0.13"}
        assert frame["outer_source"] != frame["outer_destination"]
        # A packet between tiers is routed first: it travels in the network of its destination.
        tier = {"172.20.0": 7300, "172.21.0": 7301, "172.22.0": 7302}
        assert frame["vni"] == tier[frame["inner_destination"].rpartition(".")[0]]
        assert frame["protocol"] == "ICMP"
        assert frame["whole"]


def test_a_second_up_finds_nothing_to_do(open_network: Sandbox):
    plan = json.loads(
        open_network.invoke("overlay.plan", "--no-services", "--no-policy", "--json").stdout
    )
    assert {part["name"]: part["changes"] for part in plan["hosts"]} == {
        name: [] for name in ("underlay", "host-1", "host-2", "host-3")
    }


#: A command that alters host-1, and how status names the difference.
ALTERED = {
    "bridge fdb del 02:54:ac:15:00:1e dev vx-backend self dst 10.88.0.13": "entries vx-backend",
    "ip link set vx-backend mtu 1500": "tunnel vx-backend has mtu 1500",
    "bridge link set dev vx-frontend flood on": "tunnel vx-frontend its port learns, floods",
    "ip link delete vx-database": "tunnel vx-database is absent",
    "ip neigh del 172.21.0.70 dev br-backend": "entries vx-backend misses",
    "ip route del 172.20.0.0/24 dev br-frontend": "route 172.20.0.0/24 has source none",
    "ip link set br-backend address 02:00:00:00:00:01": "bridge br-backend has MAC",
}


def test_what_was_altered_by_hand_is_named_and_repaired(open_network: Sandbox):
    script = " && ".join(ALTERED)
    open_network.invoke("overlay.exec", "host-1", "--", "sh", "-c", script)
    status = open_network.invoke("overlay.status", check=False)
    assert status.returncode == 1
    assert [line for line in ALTERED.values() if f"! {line}" not in status.stdout] == []
    open_network.invoke("overlay.up", "--shape", "tiered", "--no-services", "--no-policy")
    assert open_network.invoke("overlay.status").returncode == 0


def test_the_policy_holds_across_hosts(open_network: Sandbox):
    open_network.invoke("overlay.up", "--shape", "tiered", "--no-services")
    verdicts = json.loads(open_network.invoke("overlay.verify", "--json", check=False).stdout)
    assert {seen["asked_from"] for seen in verdicts["hosts"]} == {"host-1", "host-2", "host-3"}
    for verdict in verdicts["hosts"]:
        assert [
            (cell["source"], cell["destination"], cell["port"], cell["outcome"])
            for cell in verdict["wrong"]
        ] == []
        assert verdict["rule_differences"] == []


def test_down_leaves_nothing(open_network: Sandbox, empty: dict[str, str]):
    open_network.invoke("overlay.down")
    assert differences(empty, snapshot(open_network, but=BUT)) == []


@pytest.fixture
def drive(host: Sandbox) -> Iterator[Driver]:
    with driver(host, bare=True, hosts=2) as made:
        yield made
        made.order("down")


def test_a_wrong_mtu_fails_the_same_test(host: Sandbox, drive: Driver):
    drive.order("up", words={"mtu": "1500", "policy": "off", "shape": "tiered"})
    assert faults(inside(host, "full-size")) != []


@pytest.mark.timeout(0)
def test_killed_or_failing_at_any_step_leaves_what_down_clears_away(
    host: Sandbox, drive: Driver, full: bool, tell: Callable[[str], None]
):
    empty = snapshot(host, but=BUT)
    up = [(step, moment) for step in drive.steps("up") for moment in MOMENTS]
    drive.order("up")
    assert drive.steps("up") == []
    down = [(step, moment) for step in drive.steps("down") for moment in MOMENTS]
    chance = random.Random(6)
    for action, every, few in (("up", up, 2), ("down", down, 1)):
        points = every if full else chance.sample(every, few)
        for step, moment in points:
            drive.order("down" if action == "up" else "up")
            done = drive.order(action, at=(moment, step), check=False)
            what = f"{action}, {moment} {step}: {done}"
            assert done.code == (1 if moment == "during" else -signal.SIGKILL), what
            drive.order("down")
            assert differences(empty, snapshot(host, but=BUT)) == [], what
        tell(
            f"overlay: {action}: {len(points)} of {len(every)} points injected"
            f" ({len(every) // len(MOMENTS)} steps x {len(MOMENTS)})"
        )
    drive.order("up")
    assert drive.steps("up") == []
