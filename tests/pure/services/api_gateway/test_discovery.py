"""What the gateway believes of the registry."""

from __future__ import annotations

import json

import pytest

from services.api_gateway.discovery import SILENT_S, STALE_S, Directory
from services.api_gateway.standing import Rank
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


def entries(names: str) -> dict[str, object]:
    return {
        "product-service": [
            {"instance": name, "address": f"10.0.0.3{name[-1]}", "port": 5000}
            for name in names.split()
        ]
    }


def answer(live: str, lapsed: str = "", left: str = "") -> bytes:
    parts = {"services": entries(live), "lapsed": entries(lapsed), "left": entries(left)}
    return json.dumps({**parts, "registry": {"uptime_s": 1000.0}}).encode()


def known(directory: Directory) -> list[str]:
    return [upstream.name for upstream in directory.rotations["product-service"].upstreams]


def unreachable(directory: Directory, *places: int) -> None:
    rotation = directory.rotations["product-service"]
    for place in places:
        rotation.out(rotation.upstreams[place], Rank.UNREACHABLE, "connection refused")


def test_a_registry_that_lost_its_table_takes_nobody_away(directory: Directory) -> None:
    directory.learn(answer("p-1 p-2"))
    directory.learn(answer(""))
    assert known(directory) == ["p-1", "p-2"]
    directory.learn(answer("p-2 p-3"))
    assert known(directory) == ["p-1", "p-2", "p-3"]


def test_an_instance_that_leaves_is_gone_at_once(directory: Directory) -> None:
    directory.learn(answer("p-1 p-2"))
    assert [up.name for up in directory.learn(answer("p-1", left="p-2"))] == ["p-2"]
    assert known(directory) == ["p-1"]


def test_one_that_neither_renews_nor_answers_is_gone_after_a_while(
    directory: Directory, clock: Clock
) -> None:
    directory.learn(answer("p-1 p-2 p-3"))
    unreachable(directory, 1)
    directory.learn(answer("p-1", lapsed="p-2 p-3"))
    clock.now += SILENT_S - 0.1
    directory.learn(answer("p-1", lapsed="p-2 p-3"))
    assert known(directory) == ["p-1", "p-2", "p-3"]
    clock.now += 0.1
    directory.learn(answer("p-1", lapsed="p-2 p-3"))
    assert known(directory) == ["p-1", "p-3"]


def test_the_silence_is_counted_again_once_it_answered(directory: Directory, clock: Clock) -> None:
    directory.learn(answer("p-1 p-2"))
    unreachable(directory, 1)
    directory.learn(answer("p-1"))
    rotation = directory.rotations["product-service"]
    rotation.passed(rotation.upstreams[1])
    clock.now += SILENT_S
    directory.learn(answer("p-1"))
    unreachable(directory, 1)
    directory.learn(answer("p-1"))
    assert known(directory) == ["p-1", "p-2"]


def test_a_registry_that_falls_silent_is_reported(directory: Directory, clock: Clock) -> None:
    assert directory.registry_state().startswith("unreachable: ")
    directory.learn(answer("p-1"))
    assert directory.registry_state() == "ok"
    clock.now += STALE_S
    assert directory.registry_state().startswith("unreachable: ")
    assert known(directory) == ["p-1"]


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"services":{"product-service":3}}'])
def test_an_answer_that_makes_no_sense_changes_nothing(directory: Directory, text: bytes) -> None:
    directory.learn(answer("p-1"))
    with pytest.raises((ValueError, KeyError, TypeError)):
        directory.learn(text)
    assert known(directory) == ["p-1"]
