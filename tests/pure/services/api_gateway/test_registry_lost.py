"""A gateway whose registry is lost in one way or another: no request fails. Real processes.

For a minute each, in a whole world: tests/checks/test_registry.py.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway_parts import OK, Running, Upstream, always
from tests.support.registry_process import RegistryProcess, bearer
from tests.support.sandbox import eventually

INSTANCES = {
    "product-service": "127.0.1.30",
    "product-service-2": "127.0.1.31",
    "product-service-3": "127.0.1.32",
}
LEASE_S = 1.0


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryProcess]:
    registry = RegistryProcess(tmp_path)
    yield registry
    registry.kill()


@pytest.fixture
def ups(registry: RegistryProcess) -> Iterator[dict[str, Upstream]]:
    """Three instances that register once: from then on, their way to the registry is cut."""
    made: dict[str, Upstream] = {}
    for name, address in INSTANCES.items():
        made[name] = Upstream(always(OK), socket.create_server((address, 0)))
        tell(registry, "PUT", name, made[name].port)
    yield made
    for up in made.values():
        up.close()


@pytest.fixture
def gateway(registry: RegistryProcess, ups: dict[str, Upstream]) -> Iterator[Running]:
    running = Running(registry_url=registry.url)
    eventually(lambda: known(running) == set(INSTANCES), within_s=5)
    yield running
    running.close()


def tell(registry: RegistryProcess, method: str, name: str, port: int) -> None:
    body = {"address": INSTANCES[name], "port": port, "lease_s": LEASE_S}
    path = f"/v1/services/product-service/{name}"
    source, credential = INSTANCES[name], bearer("product-service")
    status, _ = registry.call(method, path, body if method == "PUT" else None, source, credential)
    assert status < 300


def known(gateway: Running) -> set[str]:
    rotation = gateway.gateway.directory.rotations["product-service"]
    return {upstream.name for upstream in rotation.upstreams}


def failures(gateway: Running, seconds: float) -> list[int]:
    until, statuses = time.monotonic() + seconds, []
    while time.monotonic() < until:
        statuses.append(gateway.call("GET", "/api/products")[0])
        time.sleep(0.02)
    return [status for status in statuses if status != 200]


def lapsed(registry: RegistryProcess) -> set[str]:
    entries = registry.call("GET", "/v1/services")[1]["lapsed"].get("product-service", [])
    return {entry["instance"] for entry in entries}


def test_no_request_fails_while_no_instance_renews(registry, gateway, ups):
    assert failures(gateway, 3 * LEASE_S) == []
    assert lapsed(registry) == set(INSTANCES)
    tell(registry, "PUT", "product-service", ups["product-service"].port)
    assert failures(gateway, 2.5) == []
    assert known(gateway) == set(INSTANCES)


def test_no_request_fails_while_the_registry_is_frozen(registry, gateway):
    registry.freeze()
    assert failures(gateway, 3) == []
    registry.thaw()
    assert failures(gateway, 2.5) == []
    assert known(gateway) == set(INSTANCES)


def test_no_request_fails_while_the_registry_is_killed_and_comes_back(registry, gateway):
    registry.kill()
    assert failures(gateway, 2) == []
    registry.start()
    assert failures(gateway, 2.5) == []
    assert known(gateway) == set(INSTANCES)


def test_no_request_fails_when_the_registry_comes_back_empty(registry, gateway):
    registry.kill()
    for file in registry.data.iterdir():
        file.unlink()
    registry.start()
    assert registry.call("GET", "/v1/services")[1]["lapsed"] == {}
    assert failures(gateway, 3) == []
    assert known(gateway) == set(INSTANCES)


def test_a_new_gateway_asks_instances_whose_leases_ran_out(registry, gateway):
    time.sleep(1.5 * LEASE_S)
    another = Running(registry_url=registry.url)
    try:
        eventually(lambda: known(another) == set(INSTANCES), within_s=5)
        assert failures(another, 1) == []
    finally:
        another.close()


def test_an_instance_that_leaves_is_asked_no_more(registry, gateway, ups):
    tell(registry, "PUT", "product-service-2", ups["product-service-2"].port)
    tell(registry, "DELETE", "product-service-2", 0)
    eventually(lambda: "product-service-2" not in known(gateway), within_s=3)
    before = len(ups["product-service-2"].requests)
    assert failures(gateway, 1) == []
    assert len(ups["product-service-2"].requests) == before
