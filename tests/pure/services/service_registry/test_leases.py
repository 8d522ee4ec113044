"""The registry's table, on a clock that the test turns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wsgi import ApiError
from services.service_registry.leases import (
    LAPSED_KEPT_S,
    LEFT_KEPT_S,
    Instance,
    Leases,
    is_host_of,
    parse,
)

NETWORKS = (IPv4Network("10.0.0.0/24"), IPv4Network("172.21.0.0/24"))
P, ADDRESS, OTHER = "product-service", "10.0.0.30", "10.0.0.31"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(clock: Clock) -> Leases:
    return Leases(NETWORKS, clock)


def at(address: str) -> dict[str, object]:
    return {"address": address, "port": 5000, "lease_s": 6}


def register(leases: Leases, name: str = P, address: str = ADDRESS, service: str = P) -> bool:
    return leases.register(service, name, at(address), address)


def names(leases: Leases) -> list[str]:
    return [entry.instance for entry in leases.live(P)]


def refusal(act: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        act()
    return caught.value.status, caught.value.code


def test_an_instance_is_live_until_its_lease_runs_out(leases: Leases, clock: Clock) -> None:
    assert register(leases)
    clock.now += 5.9
    assert names(leases) == [P]
    clock.now += 0.1
    assert names(leases) == []


def test_who_does_not_renew_is_lapsed_and_forgotten_long_after(
    leases: Leases, clock: Clock
) -> None:
    register(leases)
    clock.now += 6
    assert [entry.instance for entry in leases.lapsed()] == [P]
    clock.now += LAPSED_KEPT_S
    assert leases.lapsed() == []


def test_a_lapsed_instance_that_registers_is_live_again(leases: Leases, clock: Clock) -> None:
    register(leases)
    clock.now += 6
    assert register(leases)
    assert (names(leases), leases.lapsed()) == ([P], [])


def test_a_heartbeat_renews_the_whole_lease(leases: Leases, clock: Clock) -> None:
    register(leases)
    for _ in range(5):
        clock.now += 5
        assert leases.renew(P, P, ADDRESS)
    assert names(leases) == [P]


def test_a_heartbeat_after_the_lease_is_refused(leases: Leases, clock: Clock) -> None:
    register(leases)
    clock.now += 6
    assert not leases.renew(P, P, ADDRESS)


def test_an_instance_registers_no_address_but_its_own(leases: Leases) -> None:
    assert refusal(lambda: leases.register(P, P, at(OTHER), ADDRESS)) == (403, "not_yours")
    assert leases.live() == []


def test_a_name_is_its_holders_while_the_lease_is_running(leases: Leases, clock: Clock) -> None:
    register(leases)
    assert refusal(lambda: register(leases, address=OTHER)) == (409, "name_taken")
    clock.now += 6
    assert register(leases, address=OTHER)
    assert [entry.address for entry in leases.live()] == [OTHER]


def test_only_its_owner_renews_and_removes_an_instance(leases: Leases) -> None:
    register(leases)
    assert refusal(lambda: leases.renew(P, P, OTHER)) == (403, "not_yours")
    assert refusal(lambda: leases.remove(P, P, OTHER)) == (403, "not_yours")
    assert names(leases) == [P]


def test_an_address_has_one_instance_of_a_service(leases: Leases) -> None:
    for number in range(5):
        register(leases, f"{P}-{number}")
    assert names(leases) == [f"{P}-4"]


def test_an_instance_that_leaves_is_listed_as_such_for_a_while(
    leases: Leases, clock: Clock
) -> None:
    register(leases)
    assert leases.remove(P, P, ADDRESS)
    assert not leases.remove(P, P, ADDRESS)
    assert (leases.live(), leases.lapsed()) == ([], [])
    assert [entry.address for entry in leases.left()] == [ADDRESS]
    clock.now += LEFT_KEPT_S
    assert leases.left() == []


def test_an_instance_that_comes_back_has_not_left(leases: Leases) -> None:
    register(leases)
    leases.remove(P, P, ADDRESS)
    register(leases)
    assert leases.left() == []


def test_services_are_kept_apart(leases: Leases) -> None:
    register(leases)
    register(leases, "order-service", service="order-service")
    assert names(leases) == [P]
    assert [entry.instance for entry in leases.live()] == ["order-service", P]


def test_a_full_service_locks_out_no_other_and_no_lapsed_one_fills_it(
    leases: Leases, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.service_registry.leases.INSTANCES_MAX", 2)
    register(leases, f"{P}-1", "10.0.0.31")
    register(leases, f"{P}-2", "10.0.0.32")
    assert refusal(lambda: register(leases, f"{P}-3", "10.0.0.33")) == (507, "registry_full")
    assert not register(leases, f"{P}-2", "10.0.0.32")
    assert register(leases, "order-service", service="order-service")
    clock.now += 6
    assert register(leases, f"{P}-3", "10.0.0.33")


def test_a_change_is_saved_and_a_heartbeat_is_none(clock: Clock) -> None:
    saved: list[list[str]] = []

    def save(entries: tuple[Instance, ...]) -> None:
        saved.append([entry.instance for entry in entries])

    leases = Leases(NETWORKS, clock, save=save)
    register(leases)
    register(leases)
    leases.renew(P, P, ADDRESS)
    register(leases, f"{P}-2", OTHER)
    leases.remove(P, P, ADDRESS)
    assert saved == [[P], [P, f"{P}-2"], [f"{P}-2"]]


def test_a_restored_instance_has_a_leases_time_to_renew(clock: Clock) -> None:
    restored = [Instance(P, P, ADDRESS, 5000, 6.0, 0.0)]
    leases = Leases(NETWORKS, clock, restored)
    clock.now += 5.9
    assert names(leases) == [P]
    clock.now += 0.1
    assert names(leases) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"address": "product-service"}, "address"),
        ({"address": "0.0.0.0"}, "address"),
        ({"address": "127.0.0.1"}, "address"),
        ({"address": "169.254.169.254"}, "address"),
        ({"address": "8.8.8.8"}, "address"),
        ({"address": "10.0.0.1"}, "address"),
        ({"address": "10.0.0.255"}, "address"),
        ({"address": "010.0.0.30"}, "address"),
        ({"address": "::ffff:10.0.0.30"}, "address"),
        ({"address": 167772190}, "address"),
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
        parse(P, P, {**at(ADDRESS), **change}, NETWORKS)
    assert (caught.value.status, caught.value.code) == (400, "bad_registration")
    assert caught.value.details == {"field": field}


def test_an_instance_is_named_for_its_service() -> None:
    assert parse(P, f"{P}-2", at(ADDRESS), NETWORKS).instance == f"{P}-2"
    for name in ("order-service", "evil", f"{P}2"):
        found = refusal(partial(parse, P, name, at(ADDRESS), NETWORKS))
        assert found == (400, "bad_registration")


def test_without_networks_there_is_no_host() -> None:
    assert not is_host_of((), ADDRESS)


@given(st.text(max_size=70))
def test_a_name_is_accepted_or_refused_but_never_breaks(end: str) -> None:
    name, field = f"{P}-{end}", "none"
    try:
        assert parse(P, name, at(ADDRESS), NETWORKS).instance == name
    except ApiError as error:
        field = str(error.details["field"])
    assert field in {"none", "instance"}


def test_threads_do_not_lose_each_others_instances() -> None:
    leases = Leases((IPv4Network("10.0.0.0/16"),))

    def work(number: int) -> None:
        for step in range(50):
            register(leases, f"{P}-{number}-{step}", f"10.0.{number}.{step + 100}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(leases)) == 200
