"""The registry's own process, attacked, killed and started again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.registry_process import PASSWORDS, RegistryProcess, bearer

FUZZ = 2000
LIVE = {
    "product-service": ("product-service", "127.0.1.30"),
    "product-service-2": ("product-service", "127.0.1.31"),
    "order-service": ("order-service", "127.0.1.40"),
}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryProcess]:
    registry = RegistryProcess(tmp_path)
    yield registry
    registry.kill()


def register(registry: RegistryProcess, name: str, lease_s: float = 300) -> int:
    service, address = LIVE[name]
    body = {"address": address, "port": 5000, "lease_s": lease_s}
    path = f"/v1/services/{service}/{name}"
    return registry.call("PUT", path, body, address, bearer(service))[0]


def credentials() -> list[dict[str, str]]:
    """What an attacker has: nothing, what it made up, and product-service's own credential."""
    own = bearer("product-service")
    return [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer " + "x" * 4000},
        {"Authorization": f"Basic {PASSWORDS['product-service']}"},
        {"X-Forwarded-For": "127.0.1.40", "Forwarded": "for=127.0.1.40"},
        own,
        {**own, "Content-Type": "text/plain"},
        {**own, "X-Forwarded-For": "127.0.1.31", "X-Real-IP": "127.0.1.31", "Host": "127.0.1.31"},
    ]


def test_two_thousand_foreign_requests_change_nothing(registry: RegistryProcess) -> None:
    """A replica of product-service that was taken over, at .32 or .99, may name itself: no more."""
    assert [register(registry, name) for name in LIVE] == [201, 201, 201]
    chance = random.Random(14)
    services = ["product-service", "order-service", "service-registry", "api-gateway", "..", "a_b"]
    names = ["product-service-3", *LIVE, "evil", "order-service-3", "x" * 70, "%00", "../x"]
    addresses = ["127.0.1.30", "127.0.1.40", "127.0.0.1", "169.254.169.254", "8.8.8.8", "0.0.0.0"]
    addresses += ["127.0.1.0", "127.0.1.1", "127.0.1.255", "224.0.0.1", "::1", "::ffff:127.0.1.32"]
    addresses += ["127.0.1.032", "2130706720", "product-service", "", "127.1.32"]
    holder, accepted = "", 0  # of product-service-3
    for _ in range(FUZZ):
        service = chance.choice([services[0], chance.choice(services)])
        name = chance.choice([names[0], chance.choice(names)])
        source = chance.choice(["127.0.1.32", "127.0.1.32", "127.0.1.99", "127.0.0.1", "127.0.2.9"])
        address = chance.choice([source, chance.choice(addresses)])
        body = {
            "address": address,
            "port": chance.choice([5000, 5000, 22, 0, "5000"]),
            "lease_s": 300,
        }
        method = chance.choice(["PUT", "PUT", "DELETE", "POST"])
        path = f"/v1/services/{quote(service, '')}/{quote(name, '%')}"
        path += "/heartbeat" if method == "POST" else ""
        credential = chance.choice([bearer("product-service"), chance.choice(credentials())])
        status, _ = registry.call(method, path, body, source, credential)
        assert status < 500
        if status < 300:
            request = f"{method} {path} {body} from {source} with {credential}: {status}"
            assert credential.get("Authorization") == bearer("product-service")["Authorization"]
            assert (service, name) == ("product-service", "product-service-3"), request
            assert source in {"127.0.1.32", "127.0.1.99"}, request
            assert method != "PUT" or address == source, request
            assert holder == source or (method == "PUT" and not holder), request
            holder = "" if method == "DELETE" else source
            accepted += 1
    assert accepted > 20
    listed = registry.listed()
    listed.pop("product-service-3", None)
    assert listed == LIVE


def test_a_thousand_names_of_one_service_lock_nobody_out(registry: RegistryProcess) -> None:
    for number in range(1100):
        body = {"address": "127.0.1.32", "port": 5000, "lease_s": 300}
        path = f"/v1/services/product-service/product-service-{number + 10}"
        registry.call("PUT", path, body, "127.0.1.32", bearer("product-service"))
    assert [register(registry, name) for name in LIVE] == [201, 201, 201]


def test_a_killed_registry_knows_its_instances_when_it_is_back(registry: RegistryProcess) -> None:
    for name in LIVE:
        register(registry, name, lease_s=6)
    registry.kill()
    registry.start()
    assert registry.listed() == LIVE


def test_a_broken_table_is_an_empty_one(registry: RegistryProcess) -> None:
    register(registry, "order-service")
    registry.kill()
    for file in registry.data.iterdir():
        file.write_text('{"instances": [{"service": "order-service"')
    registry.start()
    assert registry.listed() == {}
    assert register(registry, "order-service") == 201
