"""A command line and a probe are decided once, safe for every world that carries them."""

from __future__ import annotations

import socket
import subprocess
import threading
from typing import Any

import pytest

from tests.support.core_cases import declared, edited_plan, planned
from twinstack.model.runtimes import APPLICATION_DATA, POSTGRES_DATA, REDIS_DATA, launch_of

ROLES = {
    "nginx-lb": ("nginx", "QUIT"),
    "api-gateway": ("python", "TERM"),
    "product-service": ("python", "TERM"),
    "redis-cache": ("redis", "TERM"),
    "postgres-db": ("postgres", "INT"),
}


@pytest.mark.parametrize("service", ROLES)
def test_a_runtime_has_its_role_and_its_signal_for_an_orderly_end(service: str):
    launch = launch_of(declared().services[service])
    assert ROLES[service] == (launch.role, launch.stop_signal)


def test_only_stores_and_the_registry_keep_data():
    kept = {
        replica.service: replica.launch.data
        for replica in planned().replicas
        if replica.launch.data
    }
    assert kept == {
        "redis-cache": REDIS_DATA,
        "postgres-db": POSTGRES_DATA,
        "service-registry": APPLICATION_DATA,
    }


def test_every_command_and_probe_starts_with_an_absolute_path():
    for replica in planned().replicas:
        assert (
            replica.launch.command[0].startswith("/usr/")
            or replica.launch.command[0] == "/bin/bash"
        )
        assert replica.health.command[0] == "/bin/bash"


def test_python_services_run_debians_interpreter_and_the_declared_module_and_port():
    gateway = planned().replica("api-gateway").launch.command
    assert gateway[:3] == ("/usr/bin/python3", "-m", "uvicorn")
    assert gateway[gateway.index("--port") + 1] == "3000"
    assert declared().services["api-gateway"].module in gateway
    orders = planned().replica("order-service").launch.command
    assert orders[:3] == ("/usr/bin/python3", "-m", "granian")
    assert declared().services["order-service"].module == orders[-1]
    assert orders[orders.index("--blocking-threads") + 1] == "4"


def test_workers_and_threads_come_from_the_topology():
    def edit(d: dict[str, Any]) -> None:
        d["services"]["order-service"].update(workers=3, threads=9)
        d["services"]["api-gateway"].update(workers=2)

    plan = edited_plan(edit)
    orders = plan.replica("order-service").launch.command
    assert orders[orders.index("--workers") + 1] == "3"
    # By it a worker knows that it has siblings, whose requests are the replica's too.
    assert dict(plan.replica("order-service").environment)["TWINSTACK_WORKERS"] == "3"
    assert "TWINSTACK_WORKERS" not in dict(plan.replica("product-service").environment)
    assert orders[orders.index("--blocking-threads") + 1] == "9"
    gateway = plan.replica("api-gateway").launch.command
    assert gateway[gateway.index("--workers") + 1] == "2"


def test_no_probe_starts_python_and_every_probe_is_bash_that_parses():
    for replica in planned().replicas:
        bash, flag, script = replica.health.command
        assert "python" not in script
        assert (bash, flag) == ("/bin/bash", "-c")
        done = subprocess.run([bash, "-n", flag, script], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_an_http_probe_asks_its_own_port_for_the_declared_path():
    def edit(d: dict[str, Any]) -> None:
        d["services"]["nginx-lb"].update(port=8081, health={"http": "/well/known"})

    script = edited_plan(edit).replica("nginx-lb").health.command[-1]
    assert "/dev/tcp/127.0.0.1/8081" in script
    assert "GET /well/known HTTP/1.0" in script


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("HTTP/1.1 200 OK", 0),
        ("HTTP/1.1 503 Service Unavailable", 1),
        ("HTTP/1.1 301 Moved Permanently", 1),
        ("", 1),
    ],
)
def test_an_http_probe_passes_by_the_status_alone(answer: str, code: int):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def edit(d: dict[str, Any]) -> None:
            d["services"]["nginx-lb"].update(port=port)

        def answer_once() -> None:
            peer, _ = server.accept()
            with peer:
                asked = b""
                while not asked.endswith(b"\r\n\r\n"):
                    asked += peer.recv(1000)
                peer.sendall(f"{answer}\r\n\r\n".encode() if answer else b"")

        thread = threading.Thread(target=answer_once)
        thread.start()
        command = edited_plan(edit).replica("nginx-lb").health.command
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)
        thread.join()
    assert code == done.returncode


def test_a_store_is_asked_by_its_own_ping():
    assert "redis-cli" in planned().replica("redis-cache").health.command[-1]
    assert "pg_isready" in planned().replica("postgres-db").health.command[-1]
    assert planned().replica("redis-cache").health.http_path is None


def test_no_secret_is_in_a_command_or_an_environment():
    for replica in planned().replicas:
        words = " ".join([*replica.launch.command, *replica.environment_in("net").values()])
        assert "password" not in words.lower()
