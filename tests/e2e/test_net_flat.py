"""The seed's promises, word for word, on the flat namespace world; and who can reach it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support import browser as b
from tests.support.api_cases import try_api
from tests.support.followed_logs import FOLLOW, REQUEST, check_followed
from tests.support.project import ROOT
from tests.support.sandbox import (
    HOST_ADDRESS,
    INTERNET_ADDRESS,
    INVOKE,
    Sandbox,
    eventually,
)

pytestmark = pytest.mark.e2e

SEED = {"nginx-lb", "api-gateway", "product-service", "order-service", "redis-cache", "postgres-db"}
OTHERS = {"service-registry", "product-service-2", "product-service-3"}
LISTEN = (
    "import socket,sys;s=socket.create_server(('{0}', {1}));c,a=s.accept();"
    "c.sendall(a[0].encode());c.close()"
)


def test_namespaces_bear_the_seeds_names(flat: Sandbox) -> None:
    listed = flat.run("ip", "netns", "list").stdout.splitlines()
    assert {line.split()[0] for line in listed} == SEED | OTHERS


def test_a_terminal_of_ascii_gets_every_view_of_the_world(flat: Sandbox) -> None:
    reading = [
        *("topology", "health --once", "policy.confinement", "conntrack --once"),
        *("traffic.journey", "net.status"),
    ]
    lines = ("topology --format svg", *reading, *(f"{line} --json" for line in reading))
    for line, (code, output, errors) in flat.calls(lines, PYTHONIOENCODING="ascii").items():
        assert (code, output.isascii(), "Traceback" in errors) == (0, True, False), (line, errors)
        assert "--json" not in line or json.loads(output)


def test_the_bridge_has_the_seeds_address(flat: Sandbox) -> None:
    assert "inet 10.0.0.1/24" in flat.run("ip", "addr", "show", "br-app").stdout


LINKS = """
import json
from dataclasses import asdict
from twinstack.stack import from_environment
print(json.dumps([asdict(link) for link in from_environment().net().links()]))
"""


def test_links_are_the_bridge_and_both_ends_of_every_pair(flat: Sandbox) -> None:
    flat.run("ip", "link", "add", "ve-stranger", "type", "veth")  # carries no mark of ours
    try:
        links = json.loads(flat.run(sys.executable, "-c", LINKS).stdout)
    finally:
        flat.run("ip", "link", "delete", "ve-stranger")
    kinds = {
        kind: [link for link in links if link["kind"] == kind]
        for kind in ("bridge", "host end", "inside")
    }
    assert sum(map(len, kinds.values())) == len(links)
    assert kinds["bridge"] == [
        {"name": "br-app", "kind": "bridge", "namespace": "", "segment": "app", "replica": ""}
    ]
    assert {link["segment"] for link in links} == {"app"}
    outer = {
        link["ifname"]
        for link in json.loads(flat.run("ip", "-j", "link", "show", "master", "br-app").stdout)
    }
    assert {link["name"] for link in kinds["host end"]} == outer
    assert {link["replica"] for link in kinds["host end"]} == SEED | OTHERS
    for inner, end in zip(kinds["inside"], kinds["host end"], strict=True):
        assert inner["replica"] == end["replica"]
        seen = flat.run(
            "nsenter", f"--net={inner['namespace']}", "cat", "/dev/null", "/proc/net/dev"
        ).stdout
        assert f"{inner['name']}:" in seen


def test_health_answers_by_the_load_balancer(flat: Sandbox) -> None:
    assert json.loads(flat.fetch("http://10.0.0.10/health"))["status"] == "ok"


@pytest.mark.parametrize(
    "where",
    [
        "http://10.0.0.10",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        f"http://{HOST_ADDRESS}:8080",
    ],
)
def test_products_are_reached_from_the_host(flat: Sandbox, where: str) -> None:
    assert len(json.loads(flat.fetch(f"{where}/api/products"))["products"]) >= 20


def test_products_are_reached_from_another_machine(flat: Sandbox) -> None:
    body = flat.fetch(f"http://{HOST_ADDRESS}:8080/api/products", where="internet")
    assert len(json.loads(body)["products"]) >= 20


def _by_the_hosts_port(host: Sandbox, name: str) -> str:
    words = ("curl", "-sS", "--max-time", "2", f"http://{HOST_ADDRESS}:8080/health")
    return host.invoke("net.exec", name, "--", *words, check=False).stdout


@pytest.mark.parametrize("name", ["product-service", "nginx-lb"])
def test_products_are_reached_from_a_namespace_by_the_hosts_port(flat: Sandbox, name: str) -> None:
    assert _by_the_hosts_port(flat, name) == ""  # no flow leads from a service to the edge
    flat.invoke("net.up", "--no-policy")
    try:
        assert json.loads(_by_the_hosts_port(flat, name))["status"] == "ok"
    finally:
        flat.invoke("net.up")


def test_a_namespace_reaches_the_internet_as_the_host(flat: Sandbox) -> None:
    listener = flat.start("/usr/bin/python3", "-c", LISTEN.format("0.0.0.0", 80), where="internet")
    try:
        eventually(
            lambda: "LISTEN" in flat.run("ss", "-Hltn", "sport = :80", where="internet").stdout,
            within_s=5,
        )
        seen = flat.invoke(
            "net.exec",
            "product-service",
            "--",
            "bash",
            "-c",
            f"cat < /dev/tcp/{INTERNET_ADDRESS}/80",
        ).stdout
    finally:
        listener.kill()
        listener.wait()
    assert seen == HOST_ADDRESS


def test_everything_holds_where_docker_set_forward_to_drop(flat: Sandbox) -> None:
    flat.run("iptables", "-P", "FORWARD", "DROP")
    # Only where br_netfilter is there can Docker turn it on.
    flat.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1", check=False)
    try:
        assert json.loads(flat.fetch("http://10.0.0.10/health"))["status"] == "ok"
        body = flat.fetch(f"http://{HOST_ADDRESS}:8080/health", where="internet")
        assert json.loads(body)["status"] == "ok"
    finally:
        flat.run("iptables", "-P", "FORWARD", "ACCEPT")


def _loopback_datagram_arrives(host: Sandbox) -> bool:
    """Send the host's 127.0.0.1 a datagram from within a namespace, past its routing."""
    listener = host.start(
        "/usr/bin/python3",
        "-c",
        "import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
        "s.bind(('127.0.0.1',9999));s.settimeout(60);print('ready',flush=True);"
        "print(s.recv(9),flush=True)",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert listener.stdout is not None
    assert listener.stdout.readline() == "ready\n"
    # Not from /sys: it shows the network namespace that it was mounted in.
    mac = host.run("ip", "-o", "link", "show", "br-app").stdout.split("link/ether ")[1][:17]
    script = ROOT / "tests" / "support" / "send_to_loopback.py"
    host.invoke("net.exec", "product-service", "--", "/usr/bin/python3", str(script), mac)
    # It is there at once, or never: the listener is not to give up while the sender starts.
    with suppress(subprocess.TimeoutExpired):
        listener.wait(timeout=0.5)
    listener.kill()
    listener.wait()
    return "hello" in listener.stdout.read()


def test_a_namespace_cannot_reach_the_hosts_own_loopback(flat: Sandbox) -> None:
    assert not _loopback_datagram_arrives(flat)
    # And the guard is what refuses: without it the datagram arrives.
    chain = next(
        line.split()[1]
        for line in flat.run("iptables", "-t", "raw", "-S").stdout.splitlines()
        if line.startswith("-N TS-")
    )
    # So would the policy: nothing turns to the host. The guard holds without one.
    flat.invoke("net.up", "--no-policy")
    assert not _loopback_datagram_arrives(flat)
    flat.run("iptables", "-t", "raw", "-F", chain)
    try:
        assert _loopback_datagram_arrives(flat)
    finally:
        flat.invoke("net.up")
    assert not _loopback_datagram_arrives(flat)


def test_processes_are_unprivileged_and_limited(flat: Sandbox) -> None:
    pids = {name: state["pid"] for name, state in flat.status().items()}
    assert set(pids) == SEED | OTHERS
    for name, pid in pids.items():
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert "0" not in status["Uid"].split(), name
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, name
        assert status["NoNewPrivs"] == "1", name
        groups = Path(f"/proc/{pid}/cgroup").read_text()
        assert f"/twinstack/{flat.instance}/{name}\n" in groups, name


def test_requests_are_balanced_and_carry_one_id_through_every_log(flat: Sandbox) -> None:
    served: dict[str, int] = {}
    for number in range(30):
        header = flat.fetch(
            "http://10.0.0.10/api/products/1",
            "-o",
            "/dev/null",
            "-D",
            "-",
            "-H",
            f"X-Request-ID: e2e-balance-{number:04}",
        )
        lines = dict(line.split(": ", 1) for line in header.splitlines() if ": " in line)
        headers = {key.lower(): value for key, value in lines.items()}
        assert headers["x-request-id"] == f"e2e-balance-{number:04}"
        served[headers["x-served-by"]] = served.get(headers["x-served-by"], 0) + 1
    assert set(served) == {"product-service", "product-service-2", "product-service-3"}
    assert max(served.values()) - min(served.values()) <= 2

    def logged() -> list[str]:
        words = ("--request", "e2e-balance-0007", "--json")
        lines = list(map(json.loads, flat.invoke("net.logs", *words).stdout.splitlines()))
        assert {line["request"] for line in lines} <= {"e2e-balance-0007"}
        return sorted(line["service"] for line in lines)

    # nginx writes its log a second late, in one go.
    eventually(lambda: logged() == ["api-gateway", "nginx-lb", "product-service"], within_s=8)


def test_an_order_is_made_once_for_one_key(flat: Sandbox) -> None:
    body = json.dumps({"items": [{"product_id": 3, "quantity": 2}]})
    session = json.loads(flat.fetch("http://10.0.0.10/api/cart"))["session"]
    in_session = ("-H", f"X-Session-ID: {session}")
    words = (
        *in_session,
        "-X",
        "POST",
        "-H",
        "Content-Type: application/json",
        "-H",
        "Idempotency-Key: e2e-key-1",
        "-d",
        body,
    )
    first = json.loads(flat.fetch("http://10.0.0.10/api/orders", *words))
    second = json.loads(flat.fetch("http://10.0.0.10/api/orders", *words))
    assert first["id"] == second["id"]
    url = f"http://10.0.0.10/api/orders/{first['id']}"
    assert json.loads(flat.fetch(url, *in_session))["items"] == first["items"]
    assert json.loads(flat.fetch(url))["error"] == "unknown_order"


def test_the_api_answers_a_sample_of_requests_as_its_document_says(flat: Sandbox, tmp_path: Path):
    tried = try_api(flat, "http://10.0.0.10", tmp_path, 10, "fuzzing,stateful", 1, timeout_s=100)
    assert tried.failures == [], tried.output[-20_000:]
    assert tried.cases >= 200


def test_a_product_that_has_not_changed_is_a_304_from_every_replica(flat: Sandbox) -> None:
    shown = ("-o", "/dev/null", "-w", "%{http_code} %header{etag} %header{x-served-by}")
    url = "http://10.0.0.10/api/products/7"
    tags, replicas = set(), set()
    for _ in range(9):
        status, tag, replica = flat.fetch(url, *shown).split()
        tags.add(tag)
        replicas.add(replica)
        again = flat.fetch(url, *shown, "-H", f'If-None-Match: "x", W/{tag}').split()
        assert (status, again[:2]) == ("200", ["304", tag])
    assert (len(tags), len(replicas)) == (1, 3)


@pytest.fixture(scope="module")
def chromium(flat: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with b.chromium(flat, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [b.PHONE, b.DESK], ids=["phone", "desk"])
def test_the_shop_is_clicked_from_its_products_to_an_order(
    flat: Sandbox, chromium: Browser, size: tuple[int, int], scheme: str
) -> None:
    with b.open_page(chromium, "http://10.0.0.10/", size, scheme) as shop:
        page = shop.page

        def check(title: str) -> None:
            assert page.locator("h1").inner_text() == title
            assert shop.barriers() == []
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
            assert page.locator("footer b").first.inner_text() == "order-service"

        check("Products")
        page.get_by_role("link", name="2", exact=True).click()
        page.get_by_role("button", name="Add to cart: Patch cable 5 m").click()
        check("Cart")
        page.get_by_role("button", name="Order").dblclick()
        page.wait_for_url("**/shop/orders/*")
        check("Your order")
        assert "9.90 EUR" in page.locator(".total").inner_text()
        page.goto("http://10.0.0.10/docs")
        check("API")


def test_a_second_up_does_nothing_and_keeps_every_process(flat: Sandbox) -> None:
    before = {name: state["pid"] for name, state in flat.status().items()}
    assert "Nothing to do" in flat.invoke("net.plan").stdout
    flat.invoke("net.up")
    assert before == {name: state["pid"] for name, state in flat.status().items()}


def test_status_exits_zero_when_all_is_well(flat: Sandbox) -> None:
    assert flat.invoke("net.status", check=False).returncode == 0


def test_logs_are_aligned_chosen_by_level_and_plain_in_a_pipe(flat: Sandbox) -> None:
    lines = flat.invoke("net.logs", "redis-cache", "order-service", "-n", "3").stdout.splitlines()
    assert {line.split("|")[0] for line in lines} == {"redis-cache   ", "order-service "}
    assert len(lines) == 6
    assert "\x1b" not in "".join(lines)
    warnings = flat.invoke("net.logs", "--level", "warning", "--json").stdout.splitlines()
    assert {json.loads(line)["level"] for line in warnings} <= {
        "warning",
        "error",
        "critical",
        None,
    }
    assert "Redis is starting" in "".join(warnings)
    assert flat.invoke("net.logs", "redis-cache", "--since", "2099-01-01").stdout == ""


def test_logs_are_followed_through_a_rotation_and_a_kill(flat: Sandbox, tmp_path: Path) -> None:
    log = f"/var/lib/twinstack/{flat.instance}/net/log/product-service.log"

    def ask() -> str:
        words = ("-o", "/dev/null", "-w", "%header{x-served-by}", "-H", f"X-Request-ID: {REQUEST}")
        return flat.fetch("http://10.0.0.10/api/products", *words)

    def rotate() -> None:
        flat.run("sh", "-c", f"head -c 8100000 /dev/zero | tr '\\0' x | fold -w 200 >> {log}")
        size = ("stat", "-c", "%s", log)
        eventually(lambda: int(flat.run(*size).stdout) < 8_000_000, within_s=15)

    def kill() -> None:
        killed = flat.status()["product-service"]["pid"]
        os.kill(killed, signal.SIGKILL)

        def back() -> bool:
            state = flat.status()["product-service"]
            return bool(state["state"] == "healthy" and state["pid"] != killed)

        eventually(back, within_s=20)

    command = flat.command([INVOKE, "net.logs", *FOLLOW])
    check_followed(command, flat.environment, tmp_path / "out", ask, rotate, kill)
