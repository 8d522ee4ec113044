"""Both worlds up at once on one host: compared side by side, then removed."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import browser as b
from tests.support.bpf import ALLOW, ENOSYS, EPERM, filter_of
from tests.support.core_cases import planned
from tests.support.ill_replicas import (
    Shop,
    check_killed_in_turn,
    check_passed_over,
    cut_from_database,
    stopped,
)
from tests.support.project import ROOT
from tests.support.sandbox import HOST_ADDRESS, Sandbox, eventually, snapshot
from twinstack.confinement import seccomp

pytestmark = [pytest.mark.e2e, pytest.mark.docker]
REPLICAS = len(planned().replicas)


@pytest.fixture(scope="module")
def both(flat: Sandbox) -> Sandbox:
    """Give a host on which both worlds are up; its engine is started by docker.up."""
    done = flat.invoke("docker.up", "--timeout", "120", timeout_s=600)
    assert "starting dockerd" in done.stderr
    return flat


def published_ports(host: Sandbox) -> dict[str, int]:
    lines = host.run("docker", "ps", "--format", "{{.Names}} {{.Ports}}").stdout.splitlines()
    published = [line.split(maxsplit=1) for line in lines if "->" in line]
    return {
        name.split("-", 2)[2].removeprefix(host.instance.split("-", 1)[1] + "-"): int(
            ports.split("->")[0].rsplit(":", 1)[1]
        )
        for name, ports in published
    }


def test_one_requests_journey_is_shown_side_by_side(both: Sandbox) -> None:
    output = both.invoke("traffic.journey", "--world", "both").stdout
    assert max(map(len, output.splitlines())) <= 80
    sums = output[output.index("stage  ") :].splitlines()
    rows = {line[:42].strip(): line[42:64].split() for line in sums}
    assert rows["stage"] == ["net", "µs", "docker", "µs"]
    for name in ("nginx-lb", "api-gateway", "product-service", "redis-cache"):
        assert all(cell.replace(",", "").isdigit() for cell in rows[name])
    assert rows["docker-proxy"][0] == "–"
    assert "127.0.0.1:8080   (the client's socket)" in output


def test_every_container_is_healthy(both: Sandbox) -> None:
    states = both.run("docker", "ps", "--format", "{{.Status}}").stdout.splitlines()
    assert len(states) == REPLICAS
    assert all("(healthy)" in line for line in states)


def test_both_worlds_answer_side_by_side(both: Sandbox) -> None:
    ports = published_ports(both)
    urls = [
        "http://10.0.0.10",
        "http://localhost:8080",
        f"http://localhost:{ports['api-gateway']}",
        f"http://localhost:{ports['nginx-lb']}",
    ]
    for url in urls:
        assert len(json.loads(both.fetch(f"{url}/api/products"))["products"]) >= 20
    assert both.invoke("net.status", check=False).returncode == 0
    assert both.invoke("docker.status", check=False).returncode == 0


def test_in_both_worlds_a_cart_is_ordered_once_and_a_key_and_an_order_are_their_sessions(
    both: Sandbox,
) -> None:
    for address in ("10.0.0.10:80", f"127.0.0.1:{published_ports(both)['nginx-lb']}"):
        script = str(ROOT / "tests/support/shopper.py")
        seen = json.loads(both.run(sys.executable, script, address).stdout)
        assert seen["one cart, three checkouts"] == [[201, 409, 409]] * 5
        assert seen["one cart, one key, three checkouts"] == [[200, 200, 201]] * 5
        assert seen["one key, two sessions"] == [201, 201]
        assert seen["an order in its session, and in another"] == [200, 404]
        assert seen["a key without a session"] == 400
        assert seen["a session of the client's choice"] == 400


def redis_pid(host: Sandbox, world: str) -> int:
    """Give the process of a world's Redis, 0 while there is none."""
    if world == "net":
        return int(host.status()["redis-cache"]["pid"] or 0)
    container = host.run("docker", "ps", "--quiet", "--filter", "name=redis-cache").stdout
    inspect = ("docker", "inspect", "--format", "{{.State.Pid}}", container.strip())
    return int(host.run(*inspect).stdout)


@pytest.mark.parametrize("world", ["net", "docker"])
def test_carts_survive_a_kill_of_redis(both: Sandbox, world: str) -> None:
    ports = {"net": 8080, "docker": published_ports(both)["nginx-lb"]}
    url = f"http://localhost:{ports[world]}/api/cart"
    line = json.dumps({"product_id": 3, "quantity": 2})
    cart = json.loads(both.fetch(url, "-H", "Content-Type: application/json", "-d", line))
    session = ("-H", f"X-Session-ID: {cart['session']}")
    assert [item["quantity"] for item in cart["items"]] == [2]
    killed = redis_pid(both, world)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: redis_pid(both, world) not in {0, killed}, within_s=10)
    eventually(lambda: json.loads(both.fetch(url, *session)) == cart, within_s=10)


def test_in_docker_too_a_stopped_replica_fails_no_get(
    both: Sandbox, full: bool, tell: Callable[[str], None]
) -> None:
    database = planned("flat", both.instance).replica("postgres-db").docker_address
    edge = ("127.0.0.1", published_ports(both)["nginx-lb"])
    form = "{{.State.Health.Status}} {{.State.Pid}}"

    def pid(name: str) -> int:
        inspect = ("docker", "inspect", "--format", form, f"twinstack-{both.instance}-{name}")
        health, number = both.run(*inspect).stdout.split()
        return int(number) if health == "healthy" else 0

    shop = Shop(both, "docker", edge, pid, str(database))
    tell(f"docker, stopped: {check_passed_over(shop, stopped, 3)}")
    if full:
        tell(f"docker, ill: {check_passed_over(shop, cut_from_database, 20)}")
        tell(f"docker, killed: {check_killed_in_turn(shop, 3)}")


def test_the_dashboard_shows_both_worlds_and_a_death_in_docker(
    both: Sandbox, tmp_path: Path
) -> None:
    name = "product-service-3"
    with (
        b.served(both) as address,
        b.chromium(both, tmp_path) as browser,
        b.open_page(browser, address) as opened,
    ):
        for world in ("net", "docker"):
            opened.await_all_up(world)
            assert opened.page.locator(f'#{world} .node[data-state="up"]').count() == REPLICAS
        replicas = json.loads(both.fetch(f"{address}latest.json"))["docker"]["replicas"]
        os.kill(
            next(replica["pid"] for replica in replicas if replica["name"] == name), signal.SIGKILL
        )
        opened.await_state("docker", name, "down", 3)
        opened.await_all_up("docker")
        assert opened.state("net", name) == "up"


def test_both_are_drawn_as_declared_and_each_shows_its_own_connections(both: Sandbox) -> None:
    done = both.invoke("topology", "--json", check=False)
    drawings = json.loads(done.stdout)["worlds"]
    wrong = [
        item for entry in drawings for item in entry["items"] if item["state"] != "as declared"
    ]
    assert (wrong, done.returncode) == ([], 0)
    assert [(entry["world"], entry["notes"]) for entry in drawings] == [("net", []), ("docker", [])]
    for world, address in (("net", "10.0.0."), ("docker", "172.30.")):
        done = both.invoke("conntrack", "--once", "--json", "--world", world)
        (connections,) = json.loads(done.stdout)["worlds"]
        assert 0 < connections["table"]["of_world"] < connections["table"]["listed"]
        pairs = {(entry["client"], entry["server"]): entry for entry in connections["pairs"]}
        assert pairs["product-service", "redis-cache"]["states"]["ESTABLISHED"] >= 3
        assert {
            entry["verdict"] for entry in connections["pairs"] if entry["server"] == "redis-cache"
        } == {"declared"}
        services = [
            entry for entry in connections["sources"] if entry["name"] not in {"host", "outside"}
        ]
        assert services
        assert connections["absent"] == []
        assert all(address in entry["new_destination"] for entry in connections["translations"])


def test_only_the_edge_is_open_to_other_machines(both: Sandbox) -> None:
    ports = published_ports(both)
    edge = f"http://{HOST_ADDRESS}:{ports['nginx-lb']}/api/products"
    assert json.loads(both.fetch(edge, where="internet"))["count"] >= 20
    inner = f"http://{HOST_ADDRESS}:{ports['api-gateway']}/health"
    refused = both.run("curl", "-sS", "--max-time", "3", inner, where="internet", check=False)
    assert refused.returncode != 0


_GATE = """
from bench.engine import gate
from twinstack import stack
here = stack.from_environment()
found = gate.require([here.net(), here.docker()], "nginx-lb", "/api/products")
print(*found.listed(), sep="\\n")
assert gate.unchanged(found, [here.net(), here.docker()]) == ()
"""


def test_both_worlds_are_alike_but_for_what_is_expected_and_not_without_a_policy(
    both: Sandbox,
) -> None:
    words = [sys.executable, "-c", _GATE]
    output = both.run("env", f"PYTHONPATH={ROOT}", *words).stdout
    assert "\n- mount./ of nginx-lb, " in output
    assert "\n- conntrack of every replica: net off, docker on" in output
    assert max(map(len, output.splitlines())) <= 80
    both.invoke("net.up", "--no-policy")
    refused = both.run("env", f"PYTHONPATH={ROOT}", *words, check=False)
    assert "are not alike" in refused.stderr
    assert re.search(r"policy[^|]*: net off, docker on", refused.stderr)
    both.invoke("net.up", "--policy")


def test_both_worlds_hold_every_process_at_the_declared_level(both: Sandbox) -> None:
    done = both.invoke("policy.confinement", "--json", check=False)
    worlds = json.loads(done.stdout)["worlds"]
    assert {world["world"]: world["weaknesses"] for world in worlds} == {
        "net": [],
        "docker": [],
    }
    assert done.returncode == 0
    for world in worlds:
        assert len(world["replicas"]) == REPLICAS
        assert sum(len(replica["processes"]) for replica in world["replicas"]) >= 18


def test_no_call_is_open_in_a_namespace_that_is_closed_in_a_container(both: Sandbox) -> None:
    pids = both.run("docker", "ps", "--quiet", "--filter", "name=redis-cache").stdout.split()
    inspect = ("docker", "inspect", "--format", "{{.State.Pid}}", *pids)
    theirs = filter_of(int(both.run(*inspect).stdout))
    ours = filter_of(both.status()["redis-cache"]["pid"])
    assert ours.code == bytes.fromhex(seccomp.compiled().program)
    resolve = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name
    arguments = {
        resolve(name.encode()): several
        for name, several in (
            ("clone", [0x003D0F00, *(0x11 | 1 << bit for bit in range(8, 32))]),
            ("socket", range(64)),
            ("personality", [0, 8, 0x20000, 0x20008, 0x400000, 0xFFFFFFFF]),
        )
    }
    weaker: set[int] = set()
    stricter: set[int] = set()
    for number in range(512):
        for argument in arguments.get(number, [0]):
            mine, other = ours.decide(number, argument), theirs.decide(number, argument)
            if ALLOW not in {mine, other}:
                assert mine in {EPERM, ENOSYS}
            elif mine != other:
                (weaker if mine == ALLOW else stricter).add(number)
    assert weaker == set()
    # Tracing, io_uring, AF_VSOCK; and what engines after 20.10 let through.
    known = (
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "socket",
        "name_to_handle_at",
        "pkey_alloc",
        "pkey_free",
        "pkey_mprotect",
    )
    assert stricter <= {resolve(name.encode()) for name in known} | set(seccomp.NEWER)
    assert resolve(b"ptrace") in stricter


def test_the_benchmark_compares_them_and_counts_every_answer(both: Sandbox) -> None:
    words = "bench --published --minutes 0.05 --requests 100 --concurrency 10 --seed 1 --json"
    done = both.invoke(*words.split(), check=False)
    assert done.returncode in {0, 2}, done.stderr  # 2: this machine was too busy for a verdict
    page = done.stderr.strip().splitlines()[-1].removeprefix("kept as ")
    both.run("rm", *(page.removesuffix(".md") + end for end in (".csv", ".html", ".json", ".md")))
    document = json.loads(done.stdout)
    windows = document["windows"]
    arms = {window["arm"] for window in windows}
    assert {"namespaces", "docker", "namespaces, ab", "net :8080", "docker DNAT"} <= arms
    assert document["failed"] == 0
    assert (document["verdict"] is None) == (done.returncode == 2)
    assert min(window["done"] for window in windows) > 0
    for contrast in document["contrasts"]:
        parts = dict(contrast["ledger"])
        whole = parts.pop("all")["estimate"]
        assert sum(part["estimate"] for part in parts.values()) == pytest.approx(whole)
    # Every deployment has new processes, and the kernel's own are in no service.
    assert document["seed"] == 1
    of_ours = f"pgrep -x wrk --ns {both.host} --nslist net"  # not another test's
    assert both.run(*of_ours.split(), check=False).stdout == ""


def test_looking_at_traffic_looks_at_both_worlds(both: Sandbox, tmp_path: Path) -> None:
    """As all looking tasks do: a document, a folder and a page for each."""
    done = both.invoke("traffic.capture", "--seconds", "1", "--out", str(tmp_path / "c"), "--json")
    captures = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["world"], each["folder"]) for each in captures] == [
        (world, str(tmp_path / "c" / world)) for world in ("net", "docker")
    ]
    assert captures[0]["links"][0]["link"] == "br-app"
    html = str(tmp_path / "a.html")
    done = both.invoke("traffic.report", "--seconds", "1", "--html", html, "--json")
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["world"] for each in reports] == ["net", "docker"]
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["a-docker.html", "a-net.html"]
    flows = [json.loads(line) for line in both.invoke("flows", "--json").stdout.splitlines()]
    assert {flow["world"] for flow in flows} == {"net", "docker"}


def test_taking_one_world_down_leaves_the_other_reachable(both: Sandbox) -> None:
    both.invoke("net.down")
    ports = published_ports(both)
    edge = f"http://{HOST_ADDRESS}:{ports['nginx-lb']}/health"
    # From another machine: the way leads through the host, which must still forward.
    assert json.loads(both.fetch(edge, where="internet"))["status"] == "ok"
    assert both.invoke("docker.status", check=False).returncode == 0


def test_clean_takes_both_away_and_stops_the_engine(both: Sandbox) -> None:
    both.invoke("net.up")
    both.invoke("clean")
    assert both.run("docker", "ps", check=False).returncode != 0
    left = snapshot(both)
    assert left["cgroups"] == left["data"] == left["namespaces"] == ""
    assert "/ip_forward:0" in left["sysctls"]
    assert left["links"].split() == ["lo", "uplink"]
    for word in ("TS-", "DOCKER", "twinstack"):
        assert word not in left["rules"]
