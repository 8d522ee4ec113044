"""The registry's memory, on a clock that the test turns."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wsgi import ApiError
from services.service_registry.leases import Leases, parse

HERE = {"address": "10.0.0.30", "port": 5000, "lease_s": 6}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(clock: Clock) -> Leases:
    return Leases(clock)


def names(leases: Leases) -> list[str]:
    return [entry.instance for entry in leases.discover("product-service")]


def test_an_instance_is_found_until_its_lease_runs_out(leases: Leases, clock: Clock) -> None:
    assert leases.register("product-service", "p-1", HERE)
    clock.now += 5.9
    assert names(leases) == ["p-1"]
    clock.now += 0.1
    assert names(leases) == []


def test_a_heartbeat_renews_the_whole_lease(leases: Leases, clock: Clock) -> None:
    leases.register("product-service", "p-1", HERE)
    for _ in range(5):
        clock.now += 5
        assert leases.renew("product-service", "p-1")
    assert names(leases) == ["p-1"]


def test_a_heartbeat_after_the_lease_is_refused(leases: Leases, clock: Clock) -> None:
    leases.register("product-service", "p-1", HERE)
    clock.now += 6
    assert not leases.renew("product-service", "p-1")


def test_a_second_registration_replaces_the_first(leases: Leases) -> None:
    assert leases.register("product-service", "p-1", HERE)
    assert not leases.register("product-service", "p-1", {**HERE, "address": "10.0.0.31"})
    assert [entry.address for entry in leases.discover("product-service")] == ["10.0.0.31"]


def test_an_instance_can_be_removed_once(leases: Leases) -> None:
    leases.register("product-service", "p-1", HERE)
    assert leases.remove("product-service", "p-1")
    assert not leases.remove("product-service", "p-1")


def test_services_are_kept_apart(leases: Leases) -> None:
    leases.register("product-service", "p-1", HERE)
    leases.register("order-service", "o-1", HERE)
    assert names(leases) == ["p-1"]
    assert [entry.instance for entry in leases.all()] == ["o-1", "p-1"]


def test_the_registry_takes_so_many_instances_and_no_more(
    leases: Leases, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.service_registry.leases.INSTANCES_MAX", 2)
    leases.register("product-service", "p-1", HERE)
    leases.register("product-service", "p-2", HERE)
    with pytest.raises(ApiError) as caught:
        leases.register("product-service", "p-3", HERE)
    assert (caught.value.status, caught.value.code) == (507, "registry_full")
    assert not leases.register("product-service", "p-2", HERE)
    clock.now += 6
    assert leases.register("product-service", "p-3", HERE)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"address": "product-service"}, "address"),
        ({"address": "0.0.0.0"}, "address"),
        ({"address": None}, "address"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"port": True}, "port"),
        ({"port": "5000"}, "port"),
        ({"lease_s": 0}, "lease_s"),
        ({"lease_s": float("nan")}, "lease_s"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_registration_names_the_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse("product-service", "p-1", {**HERE, **change})
    assert (caught.value.status, caught.value.code) == (400, "bad_registration")
    assert caught.value.details == {"field": field}


@given(st.text(max_size=70))
def test_a_name_is_accepted_or_refused_but_never_breaks(name: str) -> None:
    field: object = "none"
    try:
        assert parse("product-service", name, HERE).instance == name
    except ApiError as error:
        field = error.details["field"]
    assert field in {"none", "instance"}


def test_threads_do_not_lose_each_others_instances(leases: Leases) -> None:
    def register(number: int) -> None:
        for step in range(50):
            leases.register("product-service", f"p-{number}-{step}", HERE)

    threads = [threading.Thread(target=register, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(leases)) == 200
