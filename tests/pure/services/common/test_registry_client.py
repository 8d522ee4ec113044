"""An instance and the registry, over HTTP on loopback."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from werkzeug.serving import BaseWSGIServer, make_server

from services.common.call_stats import CallStats
from services.common.logs import Log
from services.common.registry_client import Registration, RegistryRefused
from services.common.settings import Settings, from_environment
from services.common.wsgi import Instrumented
from services.service_registry.leases import Leases
from services.service_registry.routes import create
from tests.support.project import ROOT

ADDRESS = "127.0.1.31"


class Registry:
    """A registry that can be restarted on its port."""

    def __init__(self, secrets: Path) -> None:
        self.port = 0
        self.secrets = secrets
        self.server: BaseWSGIServer
        self.start()

    def start(self) -> None:
        environ = {"TWINSTACK_ADDRESS": "127.0.0.1", "SECRETS_DIR": str(self.secrets)}
        settings = from_environment("service-registry", environ)
        log = Log("service-registry", "service-registry", requests=False, fd=-1)
        self.leases = Leases((IPv4Network("127.0.1.0/24"),))
        app = Instrumented(create(settings, log, self.leases), settings, log)
        self.server = make_server("127.0.0.1", self.port, app, threaded=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def names(self) -> list[str]:
        return [entry.instance for entry in self.leases.live()]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    monkeypatch.setattr("services.common.registry_client.HEARTBEAT_S", 0.1)
    monkeypatch.setattr("services.common.registry_client.RETRY_S", 0.05)
    (tmp_path / "registry_product_service_password").write_text("a password\n")
    registry = Registry(tmp_path)
    yield registry
    registry.stop()


def settings(registry: Registry, own_port: int) -> Settings:
    environ = {
        "TWINSTACK_REPLICA": "product-service-2",
        "TWINSTACK_ADDRESS": ADDRESS,
        "TWINSTACK_PORT": str(own_port),
        "SECRETS_DIR": str(registry.secrets),
        "REGISTRY_URL": f"http://127.0.0.1:{registry.port}",
    }
    return from_environment("product-service", environ)


@pytest.fixture
def own_port() -> Iterator[int]:
    """The instance's own server, as far as it is waited for."""
    with socket.create_server((ADDRESS, 0)) as listener:
        yield listener.getsockname()[1]


def registration(registry: Registry, own_port: int = 5000) -> Registration:
    log = Log("product-service", "product-service-2", fd=-1)
    own = settings(registry, own_port)
    return Registration(own, log, CallStats(), "product-service")


def until(truth: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if truth():
            return True
        time.sleep(0.02)
    return False


def test_an_instance_registers_itself_and_leaves_when_it_ends(
    registry: Registry, own_port: int
) -> None:
    client = registration(registry, own_port)
    client.start()
    assert until(lambda: registry.names() == ["product-service-2"])
    assert until(lambda: [peer.instance for peer in client.peers] != [])
    client.close()
    assert registry.names() == []
    assert [entry.instance for entry in registry.leases.left()] == ["product-service-2"]


def test_an_instance_comes_back_by_itself_after_the_registrys_restart(
    registry: Registry, own_port: int
) -> None:
    client = registration(registry, own_port)
    client.start()
    assert until(lambda: len(client.peers) == 1)
    registry.stop()
    time.sleep(0.2)
    assert len(client.peers) == 1
    registry.start()
    assert until(lambda: registry.names() == ["product-service-2"])
    client.close()


def test_a_heartbeat_that_is_refused_leads_to_a_new_registration(registry: Registry) -> None:
    client = registration(registry)
    client.beat()
    registry.leases.remove("product-service", "product-service-2", ADDRESS)
    client.beat()
    assert registry.names() == ["product-service-2"]


def test_the_registry_lists_discovers_and_says_what_is_wrong(registry: Registry) -> None:
    client = registration(registry)
    client.beat()
    listed = client._call("GET", "/v1/services")
    assert [instance["instance"] for instance in listed["services"]["product-service"]] == [
        "product-service-2"
    ]
    assert client._call("GET", "/v1/services/nobody")["instances"] == []
    assert client._call("GET", "/health")["status"] == "ok"
    bad = {"address": "nowhere", "port": 5000}
    with pytest.raises(RegistryRefused, match="address: must be an address of"):
        client._call("PUT", "/v1/services/product-service/product-service-1", bad)
    with pytest.raises(RegistryRefused) as refused:
        client._call("DELETE", "/v1/services/product-service/product-service-1")
    assert refused.value.status == 404
    with pytest.raises(RegistryRefused) as refused:
        client._call("PUT", "/v1/services/product-service/product-service-1", ["x" * 70_000])
    assert refused.value.status == 413


def test_an_instance_without_its_services_credential_is_refused(registry: Registry) -> None:
    client = registration(registry)
    with pytest.raises(RegistryRefused, match="credential of order-service") as refused:
        client._call("PUT", "/v1/services/order-service/order-service", {})
    assert refused.value.status == 401


def test_peers_whose_leases_ran_out_are_still_asked_when_there_are_no_others(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.common.registry_client.LEASE_S", 1.0)
    client = registration(registry)
    client.beat()
    time.sleep(1.1)
    assert registry.names() == []
    client._learn()
    assert [peer.instance for peer in client.peers] == ["product-service-2"]


_SERVED = """
from services.common.call_stats import CallStats
from services.common.logs import Log
from services.common.registry_client import Registration
from services.common.settings import from_environment

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

settings = from_environment("product-service")
Registration(settings, Log("product-service", settings.replica, fd=-1), CallStats()).start()
"""


def catches(pid: int, number: signal.Signals) -> bool:
    mask = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return mask is not None and bool(int(mask[1], 16) >> (number - 1) & 1)


def test_an_instance_leaves_the_registry_on_sigusr1_and_serves_on(
    registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "served.py").write_text(_SERVED)
    with socket.create_server((ADDRESS, 0)) as found:
        port = found.getsockname()[1]
    words = f"-m granian --interface wsgi --host {ADDRESS} --port {port} served:app"
    own = settings(registry, port)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "TWINSTACK_REPLICA": own.replica,
        "TWINSTACK_ADDRESS": own.address,
        "TWINSTACK_PORT": str(port),
        "SECRETS_DIR": str(own.secrets_dir),
        "REGISTRY_URL": own.registry_url,
    }
    server = subprocess.Popen([sys.executable, *words.split()], env=environment)
    try:
        assert until(lambda: registry.names() == [own.replica], 10)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        workers = [int(pid) for pid in children if catches(int(pid), signal.SIGUSR1)]
        assert len(workers) == 1
        os.kill(workers[0], signal.SIGUSR1)
        assert until(lambda: registry.names() == [], 1)
        time.sleep(2.3)  # longer than a heartbeat
        assert registry.names() == []
        with urllib.request.urlopen(f"http://{ADDRESS}:{port}/", timeout=2) as answer:
            assert answer.read() == b"ok"
        server.terminate()
        assert server.wait(5) == 0
    finally:
        server.kill()
        server.wait()
