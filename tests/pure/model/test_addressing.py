"""The address plan: declared addresses, then the pool's; the same host number everywhere."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.core_cases import declared, edited_plan, planned, written
from tests.support.model_cases import replicated
from twinstack.errors import TwinstackError
from twinstack.model import addressing
from twinstack.model.plan import resolve
from twinstack.model.topology_file import parse

INSTANCES = st.from_regex(r"[a-z]([a-z0-9-]{0,13}[a-z0-9])?", fullmatch=True)
SHAPES = st.sampled_from(["flat", "tiered"])


def test_addresses_are_those_of_the_flat_shape_wherever_it_stands():
    def edit(d: dict[str, Any]) -> None:
        d["shapes"] = dict(reversed(d["shapes"].items()))

    homes = addressing.addressed_segments(parse(written(edit)))
    assert {"br-app"} == {home.bridge for home in homes.values()}


def test_the_first_extra_replica_takes_the_first_address_of_the_pool():
    plan = resolve(replicated(order_service=3))
    assert [str(replica.address) for replica in plan.replicas_of("order-service")] == [
        "10.0.0.40",
        "10.0.0.128",
        "10.0.0.129",
    ]


def test_the_pool_never_gives_an_address_that_is_declared():
    def edit(d: dict[str, Any]) -> None:
        d["services"]["redis-cache"]["addresses"] = ["10.0.0.128"]
        d["services"]["order-service"]["replicas"] = 2

    plan = edited_plan(edit)
    assert str(plan.replica("order-service-2").address) == "10.0.0.129"


def test_a_shifted_port_stays_a_port():
    try:
        plan = edited_plan(lambda d: d["host_ports"][1].update(port=65530), instance="other")
    except TwinstackError:
        return
    assert all(published.port < 65536 for published in plan.published_ports)


@pytest.mark.parametrize("subnet", ["172.24.0.0/16", "172.30.16.0/20", "255.255.255.0/24"])
def test_a_shifted_subnet_stays_a_subnet(subnet: str):
    def edit(d: dict[str, Any]) -> None:
        d["shapes"]["flat"]["segments"]["app"]["docker_subnet"] = subnet

    try:
        plan = edited_plan(edit, instance="other")
    except TwinstackError:
        return
    assert IPv4Network(subnet).prefixlen == plan.segments[0].docker_subnet.prefixlen


@given(INSTANCES, SHAPES, SHAPES)
def test_no_docker_subnet_of_an_instance_overlaps_one_of_main(
    instance: str, shape: str, other_shape: str
):
    if instance == "main":
        return
    main, other = planned(shape), resolve(declared(), other_shape, instance)
    for mine in main.segments:
        for theirs in other.segments:
            assert not mine.docker_subnet.overlaps(theirs.docker_subnet)
            assert not mine.subnet.overlaps(theirs.docker_subnet)
