"""Whose turn it is, and what the gateway believes of the registry."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from services.api_gateway.client import Upstream
from services.api_gateway.discovery import EJECTED_S, STALE_S, YOUNG_S, Directory, Rotation
from services.common.logs import Log

FOUND = [("p-1", "10.0.0.30", 5000), ("p-2", "10.0.0.31", 5000), ("p-3", "10.0.0.32", 5000)]


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


@pytest.fixture
def rotation() -> Rotation:
    rotation = Rotation()
    rotation.update(FOUND, keep_others=False)
    return rotation


def picked(rotation: Rotation, now: float = 0.0) -> str:
    upstream = rotation.pick(now)
    assert upstream is not None
    return upstream.name


def answer(names: list[str], uptime_s: float = 1000.0) -> bytes:
    instances = [{"instance": name, "address": "10.0.0.30", "port": 5000} for name in names]
    services = {"product-service": instances} if instances else {}
    return json.dumps({"services": services, "registry": {"uptime_s": uptime_s}}).encode()


def known(directory: Directory) -> list[str]:
    return [upstream.name for upstream in directory.rotations["product-service"].upstreams]


def test_instances_take_turns_evenly(rotation: Rotation) -> None:
    assert Counter(picked(rotation) for _ in range(300)) == {"p-1": 100, "p-2": 100, "p-3": 100}


def test_an_ejected_instance_is_skipped_until_its_time_is_up(rotation: Rotation) -> None:
    rotation.upstreams[1].ejected_until = 10.0
    assert {picked(rotation, now=9.9) for _ in range(20)} == {"p-1", "p-3"}
    assert {picked(rotation, now=10.0) for _ in range(20)} == {"p-1", "p-2", "p-3"}


def test_ejecting_one_leaves_the_others_even(rotation: Rotation) -> None:
    rotation.upstreams[0].ejected_until = 10.0
    counts = Counter(picked(rotation) for _ in range(300))
    assert counts == {"p-2": 150, "p-3": 150}


def test_when_all_are_ejected_they_are_tried_all_the_same(rotation: Rotation) -> None:
    for upstream in rotation.upstreams:
        upstream.ejected_until = 10.0
    assert rotation.live(0.0) == 0
    assert rotation.pick(0.0) is not None


def test_nobody_is_picked_twice_for_one_request(rotation: Rotation) -> None:
    tried: list[Upstream] = []
    while (upstream := rotation.pick(0.0, tried)) is not None:
        tried.append(upstream)
    assert sorted(upstream.name for upstream in tried) == ["p-1", "p-2", "p-3"]


def test_nobody_is_known_at_first() -> None:
    assert Rotation().pick(0.0) is None


def test_an_update_keeps_the_connections_of_those_that_stay(rotation: Rotation) -> None:
    before = list(rotation.upstreams)
    gone = rotation.update(FOUND[1:], keep_others=False)
    assert rotation.upstreams == before[1:]
    assert gone == before[:1]


def test_an_instance_that_moved_is_another_one(rotation: Rotation) -> None:
    moved = [("p-1", "10.0.0.99", 5000)]
    gone = rotation.update(moved, keep_others=False)
    assert [upstream.host for upstream in rotation.upstreams] == ["10.0.0.99"]
    assert len(gone) == 3


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


def test_ejection_lasts_a_moment(directory: Directory, clock: Clock) -> None:
    directory.learn(answer(["p-1"]))
    rotation = directory.rotations["product-service"]
    directory.eject(rotation.upstreams[0], "connection refused")
    assert rotation.live(clock.now) == 0
    assert rotation.live(clock.now + EJECTED_S) == 1


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"services":{}}', b'{"registry":{}}'])
def test_an_answer_that_makes_no_sense_changes_nothing(directory: Directory, text: bytes) -> None:
    directory.learn(answer(["p-1"]))
    with pytest.raises((ValueError, KeyError, TypeError)):
        directory.learn(text)
    assert known(directory) == ["p-1"]
