"""What the gateway believes of the registry."""

from __future__ import annotations

import json

import pytest

from services.api_gateway.discovery import STALE_S, YOUNG_S, Directory
from services.common.logs import Log


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(clock: Clock) -> Directory:
    log = Log("api-gateway", "api-gateway", fd=-1)
    return Directory(["product-service"], "http://service-registry:8500", log, clock)


def answer(names: list[str], uptime_s: float = 1000.0) -> bytes:
    instances = [{"instance": name, "address": "10.0.0.30", "port": 5000} for name in names]
    services = {"product-service": instances} if instances else {}
    return json.dumps({"services": services, "registry": {"uptime_s": uptime_s}}).encode()


def known(directory: Directory) -> list[str]:
    return [upstream.name for upstream in directory.rotations["product-service"].upstreams]


def test_an_old_registry_is_believed_when_it_names_nobody(directory: Directory) -> None:
    directory.learn(answer(["p-1"]))
    directory.learn(answer([], uptime_s=YOUNG_S + 1))
    assert known(directory) == []


def test_a_registry_that_has_just_started_takes_nobody_away(directory: Directory) -> None:
    directory.learn(answer(["p-1", "p-2"]))
    directory.learn(answer(["p-2", "p-3"], uptime_s=1.0))
    assert known(directory) == ["p-1", "p-2", "p-3"]


def test_a_registry_that_falls_silent_is_reported(directory: Directory, clock: Clock) -> None:
    assert directory.registry_state().startswith("unreachable: ")
    directory.learn(answer(["p-1"]))
    assert directory.registry_state() == "ok"
    clock.now += STALE_S
    assert directory.registry_state().startswith("unreachable: ")
    assert known(directory) == ["p-1"]


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"services":{}}', b'{"registry":{}}'])
def test_an_answer_that_makes_no_sense_changes_nothing(directory: Directory, text: bytes) -> None:
    directory.learn(answer(["p-1"]))
    with pytest.raises((ValueError, KeyError, TypeError)):
        directory.learn(text)
    assert known(directory) == ["p-1"]
