"""The life of a namespace world: restarts, down and up, crashes, foreign objects, residue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.project import ROOT
from tests.support.sandbox import INVOKE, Sandbox, eventually, snapshot

pytestmark = pytest.mark.e2e

REPLICAS = (
    "nginx-lb",
    "api-gateway",
    "product-service",
    "product-service-2",
    "product-service-3",
    "order-service",
    "service-registry",
    "redis-cache",
    "postgres-db",
)
ORDER = '{"items": [{"product_id": 5, "quantity": 1}]}'


@pytest.mark.parametrize("name", REPLICAS)
def test_a_killed_process_is_back_and_healthy_within_five_seconds(flat: Sandbox, name: str) -> None:
    script = str(ROOT / "tests" / "support" / "kill_and_await.py")
    took_s = json.loads(flat.run("env", f"PYTHONPATH={ROOT}", sys.executable, script, name).stdout)
    assert took_s["itself"] < 5
    # The whole chain finds its way back too before the next one is killed.
    assert took_s["all"] < 10


def test_a_killed_master_leaves_no_worker_that_holds_its_port(flat: Sandbox) -> None:
    def members() -> set[int]:
        own = f"twinstack/{flat.instance}/nginx-lb/cgroup.procs"  # by either version of cgroups
        script = f"cat /sys/fs/cgroup/*/{own} /sys/fs/cgroup/{own} 2>/dev/null || true"
        return {int(word) for word in flat.run("sh", "-c", script).stdout.split()}

    before, master = members(), flat.status()["nginx-lb"]["pid"]
    assert len(before) == 2
    os.kill(master, signal.SIGKILL)
    eventually(lambda: bool(members()) and not members() & before, within_s=5)
    eventually(lambda: flat.status()["nginx-lb"]["state"] == "healthy", within_s=10)
    pid = flat.status()["nginx-lb"]["pid"]
    time.sleep(3)  # one that cannot bind its port tries for 2.5 s, and ends
    edge = flat.status()["nginx-lb"]
    assert (edge["pid"], edge["state"]) == (pid, "healthy")


def in_session(host: Sandbox) -> tuple[str, str]:
    """Give the words of curl for a session of its own."""
    session = json.loads(host.fetch("http://10.0.0.10/api/cart"))["session"]
    return "-H", f"X-Session-ID: {session}"


def test_data_survives_down_and_up(flat: Sandbox) -> None:
    session = in_session(flat)
    words = (*session, "-H", "Content-Type: application/json", "-d", ORDER)
    placed = json.loads(flat.fetch("http://10.0.0.10/api/orders", *words))
    flat.invoke("net.down")
    assert flat.run("ip", "netns", "list").stdout == ""
    flat.invoke("net.up")
    order = json.loads(flat.fetch(f"http://10.0.0.10/api/orders/{placed['id']}", *session))
    assert order["id"] == placed["id"]


def test_services_answer_without_redis_and_say_so_without_postgresql(flat: Sandbox) -> None:
    conf = f"/run/twinstack/{flat.instance}/supervisord.conf"
    pid = flat.run("cat", f"/run/twinstack/{flat.instance}/supervisord.pid").stdout.strip()
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    path = next(variable for variable in environment if variable.startswith("PYTHONPATH="))

    def control(*words: str) -> None:
        program = ("/usr/bin/python3", "-m", "supervisor.supervisorctl")
        flat.run("env", path, *program, "-c", conf, *words)

    session = in_session(flat)

    def code(path: str) -> str:
        words = (*session, "-o", "/dev/null", "-w", "%{http_code}")
        return flat.fetch(f"http://10.0.0.10{path}", *words)

    body = json.dumps({"items": [{"product_id": 6, "quantity": 1}]})
    words = (*session, "-H", "Content-Type: application/json", "-d", body)
    order = json.loads(flat.fetch("http://10.0.0.10/api/orders", *words))["id"]
    assert code(f"/api/orders/{order}") == "200"
    control("stop", "redis-cache")
    try:
        assert code("/api/products/2") == "200"
    finally:
        control("start", "redis-cache")
    control("stop", "postgres-db")
    try:
        eventually(lambda: flat.status()["order-service"]["state"] == "unhealthy", within_s=5)
        assert code(f"/api/orders/{order}") == "503"
    finally:
        control("start", "postgres-db")
    eventually(lambda: flat.invoke("net.status", check=False).returncode == 0, within_s=10)


def test_drift_is_named_and_repaired(flat: Sandbox) -> None:
    flat.run("ip", "link", "set", "br-app", "down")
    flat.run("ip", "-n", "redis-cache", "address", "flush", "dev", "eth0")
    flat.run("ip", "netns", "delete", "order-service")
    done = flat.invoke("net.status", check=False)
    assert done.returncode == 1
    assert "bridge br-app is down" in done.stdout
    assert "10.0.0.50/24 is not on eth0" in done.stdout
    assert "namespace order-service is absent" in done.stdout
    kept = flat.status()["product-service"]["pid"]
    flat.invoke("net.up")
    assert flat.invoke("net.status", check=False).returncode == 0
    assert flat.status()["product-service"]["pid"] == kept


def test_two_ups_at_once_are_one_up_and_one_refusal(flat: Sandbox) -> None:
    flat.invoke("net.down")
    both = [flat.start(INVOKE, "net.up", stdout=-1, stderr=-1) for _ in range(2)]
    outputs = [up.communicate(timeout=60) for up in both]
    codes = sorted(up.returncode for up in both)
    assert codes == [0, 1]
    loser = next(text for up, text in zip(both, outputs, strict=True) if up.returncode == 1)
    assert "is being changed: by pid" in loser[1]


def test_another_shape_replaces_this_one(flat: Sandbox) -> None:
    flat.invoke("net.up", "--shape", "tiered")
    links = flat.run("ip", "-br", "link").stdout
    assert "br-app" not in links
    for bridge in ("br-frontend", "br-backend", "br-database"):
        assert bridge in links
    products = json.loads(flat.fetch("http://172.20.0.10/api/products"))["products"]
    assert len(products) >= 20
    route = flat.run("ip", "route").stdout
    for subnet in ("172.20.0.0/24", "172.21.0.0/24", "172.22.0.0/24"):
        assert subnet in route
    way = flat.invoke("net.exec", "order-service", "--", "ip", "route", "get", "172.22.0.60")
    assert "via 172.21.0.1" in way.stdout
    assert flat.invoke("net.status", check=False).returncode == 0
    flat.invoke("net.down")


def test_down_and_clean_leave_the_host_as_it_was(host: Sandbox) -> None:
    host.invoke("clean")
    before = snapshot(host)
    assert "- secrets: are missing or wrong for order-service, " in host.invoke("net.plan").stdout
    assert snapshot(host) == before
    host.invoke("net.up")
    session = in_session(host)
    words = (*session, "-X", "POST", "-H", "Content-Type: application/json", "-d")
    order = json.loads(host.fetch("http://10.0.0.10/api/orders", *words, ORDER))
    item = '{"product_id": 7, "quantity": 2}'
    cart = json.loads(host.fetch("http://10.0.0.10/api/cart", *words, item))
    up = snapshot(host)
    listed = cleaned(host, "--dry-run", "--keep-data")["would_remove"]
    assert snapshot(host) == up
    assert cleaned(host, "--keep-data")["removed"] == listed
    assert f"data /var/lib/twinstack/{host.instance}/net/log" in listed
    host.invoke("net.up")
    url = f"http://10.0.0.10/api/orders/{order['id']}"
    assert json.loads(host.fetch(url, *session))["items"] == order["items"]
    assert json.loads(host.fetch("http://10.0.0.10/api/cart", *session)) == cart
    assert len(cart["items"]) == 1
    listed = cleaned(host, "--dry-run")["would_remove"]
    assert cleaned(host)["removed"] == listed
    after = snapshot(host)
    assert before == after
    done = host.invoke("clean")
    assert "Nothing of ours is here." in done.stdout


def cleaned(host: Sandbox, *options: str) -> dict[str, list[str]]:
    """Clean, and give what was, or would be, removed; without what became of each."""
    document: dict[str, list[str]] = json.loads(host.invoke("clean", "--json", *options).stdout)
    lists = {key: names for key, names in document.items() if isinstance(names, list)}
    return {key: [name.partition(" (")[0] for name in names] for key, names in lists.items()}


def until_said(half: subprocess.Popen[str], words: str) -> None:
    """Read progress until it says `words`."""
    assert half.stderr is not None
    for line in half.stderr:
        if words in line:
            return
    pytest.fail(f"it ended without saying {words!r}")


@pytest.mark.parametrize("moment", ["steps to do", "starting the supervisor", "is healthy (1 of"])
def test_an_up_killed_half_way_is_removed_whole(host: Sandbox, moment: str) -> None:
    host.invoke("clean")
    before = snapshot(host)
    half = host.start(INVOKE, "net.up", stdout=-3, stderr=-1, start_new_session=True)
    until_said(half, moment)
    os.killpg(half.pid, signal.SIGKILL)
    half.wait()
    assert before != snapshot(host)
    host.invoke("clean")
    assert before == snapshot(host)


def test_ctrl_c_undoes_what_was_half_done(host: Sandbox) -> None:
    host.invoke("clean")
    before = snapshot(host)
    half = host.start(INVOKE, "net.up", stdout=-3, stderr=-1, start_new_session=True)
    until_said(half, "starting the supervisor")
    os.killpg(half.pid, signal.SIGINT)
    assert half.stderr is not None
    errors = half.stderr.read()
    half.wait(timeout=30)
    assert half.returncode == 130
    assert "removing what was half-done" in errors
    host.invoke("clean")
    assert before == snapshot(host)


@pytest.mark.parametrize(
    ("make", "unmake", "says"),
    [
        ("ip link add br-app type bridge", "ip link delete br-app", "bridge br-app: is not ours"),
        ("ip netns add nginx-lb", "ip netns delete nginx-lb", "namespace nginx-lb: is not ours"),
        (
            "ip route add 10.0.0.0/24 dev uplink",
            "ip route delete 10.0.0.0/24 dev uplink",
            "subnet 10.0.0.0/24: is taken",
        ),
    ],
)
def test_a_foreign_object_is_one_clear_error_before_any_change(
    host: Sandbox, make: str, unmake: str, says: str
) -> None:
    host.invoke("clean")
    host.run(*make.split())
    try:
        before = snapshot(host)
        done = host.invoke("net.up", check=False)
        assert done.returncode == 1
        assert says in done.stderr
        assert "Traceback" not in done.stderr
        assert before["links"] == snapshot(host)["links"]
        host.invoke("clean")
        assert before["links"] == snapshot(host)["links"]
        assert before["namespaces"] == snapshot(host)["namespaces"]
    finally:
        host.run(*unmake.split())


def test_a_busy_port_is_one_clear_error(host: Sandbox) -> None:
    script = "import socket,time;s=socket.create_server(('0.0.0.0', 8080));time.sleep(60)"
    busy = host.start("/usr/bin/python3", "-c", script)
    try:
        eventually(lambda: "8080" in host.run("ss", "-Hltn").stdout, within_s=5)
        done = host.invoke("net.up", check=False)
        assert done.returncode == 1
        assert "port 8080: is busy" in done.stderr
    finally:
        busy.kill()
        busy.wait()


@pytest.mark.parametrize(
    "words",
    [
        ("net.up", "--shape", "round"),
        ("net.logs", "nobody"),
        ("net.exec", "nginx-lb"),
        ("bench", "--rounds", "0"),
        ("bench", "--aa", "moon"),
    ],
)
def test_a_wrong_word_is_one_clear_line(host: Sandbox, words: tuple[str, ...]) -> None:
    done = host.invoke(*words, check=False)
    assert done.returncode == 64
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def test_planning_and_asking_change_nothing(host: Sandbox) -> None:
    host.invoke("clean")
    before = snapshot(host)
    assert "steps to do" in host.invoke("net.plan").stdout
    assert host.invoke("net.plan", "--script").stdout.startswith("#!/bin/sh")
    host.invoke("net.status", check=False)
    host.invoke("doctor", check=False)
    assert before == snapshot(host)


def test_a_foreign_namespace_with_our_name_survives_down(host: Sandbox) -> None:
    host.invoke("net.up")
    host.run("ip", "netns", "delete", "service-registry")
    host.run("ip", "netns", "add", "service-registry")  # same name, but not our mark
    done = host.invoke("net.up", check=False)
    assert "namespace service-registry: is not ours" in done.stderr
    host.invoke("net.down")
    assert "service-registry" in host.run("ip", "netns", "list").stdout
    host.run("ip", "netns", "delete", "service-registry")
