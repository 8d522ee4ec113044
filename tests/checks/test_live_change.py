"""Restarting and scaling a service under full load fails no request, in both directions.

Keyless POSTs are among the load: nobody may send them twice, so none may meet a replica that ends.
`--full`: both services, thirty rounds of each.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.project import ROOT
from tests.support.sampling import LIVE_RESTARTS, LIVE_SCALES
from tests.support.sandbox import INVOKE, Sandbox, eventually
from tests.support.shop_load import shop_load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(0)]

URL = "http://10.0.0.10"
Tell = Callable[[str], None]


def pids(host: Sandbox, service: str) -> set[int]:
    return {state["pid"] for state in host.status().values() if state["service"] == service}


@pytest.mark.parametrize("service", LIVE_RESTARTS)
def test_restarting_a_service_fails_no_request(
    flat: Sandbox, service: str, full: bool, tell: Tell
) -> None:
    rounds = 30 if full else 1
    with shop_load(URL, flat.command, tell, f"net.restart {service} × {rounds}"):
        for _ in range(rounds):
            before = pids(flat, service)
            flat.invoke("net.restart", service)
            after = pids(flat, service)
            assert (len(after), before & after) == (len(before), set())
    assert flat.invoke("net.status", check=False).returncode == 0


@pytest.mark.parametrize(("service", "most"), LIVE_SCALES)
def test_scaling_a_service_up_and_down_fails_no_request(
    flat: Sandbox, service: str, most: int, full: bool, tell: Tell
) -> None:
    rounds = 30 if full else 1
    least = len(pids(flat, service))
    with shop_load(URL, flat.command, tell, f"net.scale {service} {least} ↔ {most} × {rounds}"):
        for _ in range(rounds):
            before = pids(flat, service)
            flat.invoke("net.scale", f"{service}={most}")
            assert len(pids(flat, service)) == most
            flat.invoke("net.scale", f"{service}={least}")
            assert pids(flat, service) == before
    assert flat.invoke("net.status", check=False).returncode == 0


def test_a_scale_holds_for_plan_and_up_and_ends_with_down(flat: Sandbox) -> None:
    flat.invoke("net.scale", "product-service=1")
    assert len(pids(flat, "product-service")) == 1
    assert "Nothing to do" in flat.invoke("net.plan").stdout
    flat.invoke("net.up")
    assert len(pids(flat, "product-service")) == 1
    flat.invoke("net.down")
    flat.invoke("net.up")
    assert len(pids(flat, "product-service")) == 3


def test_an_interrupted_change_lets_a_drained_replica_return(flat: Sandbox) -> None:
    command = flat.start(INVOKE, "net.scale", "product-service=1", stderr=subprocess.PIPE)
    try:
        assert command.stderr is not None
        assert any(line.endswith(": draining\n") for line in command.stderr)
        time.sleep(1)
        command.send_signal(signal.SIGINT)
        command.stderr.read()
        assert command.wait(30) == 130
    finally:
        command.kill()
        command.wait()
    before = flat.status()
    assert {state["state"] for state in before.values()} == {"healthy"}

    def serving() -> set[str]:
        words = ("-o", "/dev/null", "-w", "%header{x-served-by} ")
        return set(flat.fetch(f"{URL}/api/products/[1-12]", *words).split())

    eventually(lambda: len(serving()) == 3, within_s=10)
    assert flat.invoke("net.status", check=False).returncode == 0


_HELD = """
import socket, sys
link = socket.create_connection(("10.0.0.30", 5000), 3)
def ask():
    link.sendall(b"GET /health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    try:
        return link.recv(65536)[9:12].decode()
    except TimeoutError:
        return "silent"
for _ in sys.stdin:
    print(ask(), flush=True)
"""


def test_a_withdrawn_flow_closes_what_it_had_opened_and_nothing_else(
    flat: Sandbox, tmp_path: Path
) -> None:
    written = yaml.safe_load((ROOT / "topology.yml").read_text())
    written["flows"].remove({"from": "order-service", "to": "product-service"})
    file = tmp_path / "topology.yml"
    file.write_text(yaml.safe_dump(written))
    held = [
        subprocess.Popen(
            flat.command(["ip", "netns", "exec", name, sys.executable, "-c", _HELD]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("order-service", "api-gateway")
    ]

    def asked() -> list[str]:
        for process in held:
            assert process.stdin is not None
            process.stdin.write("ask\n")
            process.stdin.flush()
        return [process.stdout.readline().strip() for process in held if process.stdout]

    try:
        assert asked() == ["200", "200"]
        flat.invoke("net.up", TWINSTACK_TOPOLOGY=str(file))
        assert asked() == ["silent", "200"]
    finally:
        for process in held:
            process.kill()
            process.wait()
        flat.invoke("net.up")


def test_what_cannot_be_scaled_is_refused_with_its_reason(flat: Sandbox) -> None:
    for word, reason in (
        ("postgres-db=2", "a store's data is in one place"),
        ("nginx-lb=2", "it is the one door"),
        ("api-gateway=2", "nginx learns of its gateways only when it starts"),
        ("product-service=0", "a service has at least one replica"),
        ("product-service", "write SERVICE=N"),
        ("nobody=2", "is no service"),
        ("product-service=400", "have no address"),
    ):
        done = flat.invoke("net.scale", word, check=False)
        assert done.returncode == 64
        assert reason in done.stderr


def test_a_world_that_is_not_as_planned_is_not_changed_live(flat: Sandbox) -> None:
    flat.run("ip", "link", "set", "br-app", "mtu", "1400")
    done = flat.invoke("net.restart", "order-service", check=False)
    assert done.returncode == 1
    assert 'run "invoke net.up" first' in done.stderr
    flat.invoke("net.up")
