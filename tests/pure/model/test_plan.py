"""A plan decides everything once: the contract's names and addresses, and nothing twice."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core_cases import declared, edited_plan, planned, written
from tests.support.model_cases import replicated
from twinstack.errors import TwinstackError
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import parse

INSTANCES = st.from_regex(r"[a-z]([a-z0-9-]{0,13}[a-z0-9])?", fullmatch=True)
SHAPES = st.sampled_from(["flat", "tiered"])
WORLDS: tuple[WorldName, WorldName] = ("net", "docker")
SERVICES = len(declared().services)


@pytest.mark.parametrize("world", WORLDS)
def test_a_near_cache_is_the_product_services_alone_and_only_where_declared(world: WorldName):
    def near(d: dict[str, Any]) -> None:
        d["services"]["product-service"]["cache"] = "near"

    caches = {
        replica.name: replica.environment_in(world).get("CACHE")
        for replica in edited_plan(near).replicas
        if "CACHE" in replica.environment_in(world)
    }
    assert caches == dict.fromkeys(
        ("product-service", "product-service-2", "product-service-3"), "near"
    )
    assert all("CACHE" not in replica.environment_in(world) for replica in planned().replicas)


def test_flat_addresses_are_those_of_the_contract():
    addresses = {name: str(address) for name, address in planned("flat").hosts("net").items()}
    contract = {
        "nginx-lb": "10.0.0.10",
        "api-gateway": "10.0.0.20",
        "product-service": "10.0.0.30",
        "product-service-2": "10.0.0.31",
        "product-service-3": "10.0.0.32",
        "order-service": "10.0.0.40",
        "service-registry": "10.0.0.70",
        "redis-cache": "10.0.0.50",
        "postgres-db": "10.0.0.60",
    }
    assert addresses.items() >= contract.items()


def test_tiered_addresses_keep_their_last_octet():
    addresses = {name: str(address) for name, address in planned("tiered").hosts("net").items()}
    contract = {
        "nginx-lb": "172.20.0.10",
        "api-gateway": "172.20.0.20",
        "product-service": "172.21.0.30",
        "product-service-2": "172.21.0.31",
        "product-service-3": "172.21.0.32",
        "order-service": "172.21.0.40",
        "service-registry": "172.21.0.70",
        "redis-cache": "172.22.0.50",
        "postgres-db": "172.22.0.60",
    }
    assert addresses.items() >= contract.items()


def test_bridges_and_gateways_are_those_of_the_contract():
    flat = [
        (segment.bridge, str(segment.gateway), str(segment.subnet))
        for segment in planned("flat").segments
    ]
    assert flat == [("br-app", "10.0.0.1", "10.0.0.0/24")]
    assert [
        (segment.bridge, str(segment.gateway), str(segment.subnet))
        for segment in planned("tiered").segments
    ] == [
        ("br-frontend", "172.20.0.1", "172.20.0.0/24"),
        ("br-backend", "172.21.0.1", "172.21.0.0/24"),
        ("br-database", "172.22.0.1", "172.22.0.0/24"),
    ]


def test_ports_are_those_of_the_contract():
    ports = {replica.service: replica.port for replica in planned().replicas}
    contract = {
        "nginx-lb": 80,
        "api-gateway": 3000,
        "product-service": 5000,
        "order-service": 5000,
        "service-registry": 8500,
        "redis-cache": 6379,
        "postgres-db": 5432,
    }
    assert ports.items() >= contract.items()
    published = {
        (port.world, port.port): (str(port.bind), port.replica)
        for port in planned().published_ports
    }
    assert published == {
        ("net", 8080): ("0.0.0.0", "nginx-lb"),
        ("docker", 8088): ("0.0.0.0", "nginx-lb"),
        ("docker", 3000): ("127.0.0.1", "api-gateway"),
    }


def assert_addresses_are_sound(plan: Plan) -> None:
    for world in WORLDS:
        given_out = [replica.address_in(world) for replica in plan.replicas]
        assert len(given_out) == len(set(given_out))
        taken = {segment.gateway for segment in plan.segments} | {
            segment.docker_gateway for segment in plan.segments
        }
        assert not taken & set(given_out)
    on_docker = [
        attachment.address for replica in plan.replicas for attachment in replica.attachments
    ]
    assert len(on_docker) == len(set(on_docker))
    for replica in plan.replicas:
        segment = plan.segment(replica.segment)
        assert replica.address in segment.subnet
        assert replica.address != segment.gateway
        assert replica.address != segment.subnet.broadcast_address
        assert replica.tier in segment.tiers
        for attachment in replica.attachments:
            there = plan.segment(attachment.segment)
            assert attachment.address in there.docker_subnet
            assert attachment.network == there.docker_network
    links = [replica.host_link for replica in plan.replicas]
    bridges = {segment.bridge for segment in plan.segments} | {
        segment.docker_bridge for segment in plan.segments
    }
    assert len(links) == len(set(links))
    assert not bridges & set(links)
    assert all(len(name) <= 15 for name in {*links, *bridges})


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.lists(st.integers(1, 15), min_size=SERVICES, max_size=SERVICES), INSTANCES)
def test_addresses_are_unique_and_in_their_subnet(shape: str, counts: list[int], instance: str):
    names = [name.replace("-", "_") for name in declared().services]
    topology = replicated(**dict(zip(names, counts, strict=True)))
    plan = resolve(topology, shape, instance)
    assert sum(counts) == len(plan.replicas) == len({replica.name for replica in plan.replicas})
    assert_addresses_are_sound(plan)


def test_a_thousand_replicas_resolve_in_a_larger_subnet():
    def edit(d: dict[str, Any]) -> None:
        d["shapes"]["flat"]["segments"]["app"] |= {
            "subnet": "10.0.0.0/16",
            "pool": "10.0.1.0-10.0.200.0",
            "docker_subnet": "172.16.0.0/16",
        }
        d["services"]["product-service"]["replicas"] = 1000
        del d["shapes"]["tiered"]

    plan = edited_plan(edit)
    assert len(plan.replicas_of("product-service")) == 1000
    assert_addresses_are_sound(plan)


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_two_plans_of_the_same_topology_are_equal(shape: str):
    plan = resolve(parse(written()), shape, "other")
    other = resolve(parse(written()), shape, "other")
    assert plan == other
    assert hash(plan) == hash(other)


@given(INSTANCES)
def test_another_instance_shifts_docker_subnets_and_ports_only(instance: str):
    main, other = planned("tiered"), resolve(declared(), "tiered", instance)
    assert [replica.address for replica in main.replicas] == [
        replica.address for replica in other.replicas
    ]
    subnets = [segment.docker_subnet for segment in other.segments]
    ports = [port.port for port in other.published_ports]
    assert len({*subnets}) == 3
    assert all(IPv4Network("172.16.0.0/12").supernet_of(subnet) for subnet in subnets)
    assert len(ports) == len(set(ports))
    assert all(port < 65536 for port in ports)
    assert other.mark == f"twinstack:{instance}"
    assert [port.port for port in other.published_ports if port.world == "net"] == [8080]
    if instance != "main":
        assert not {*subnets} & {segment.docker_subnet for segment in main.segments}
        assert {segment.docker_network for segment in main.segments}.isdisjoint(
            segment.docker_network for segment in other.segments
        )


def test_lifted_limits_are_none_and_nothing_else_changes():
    lifted, limited = planned(limited=False), planned()
    assert all(replica.limits is None for replica in lifted.replicas)
    assert not lifted.limited
    limits = limited.replica("postgres-db").limits
    assert limits is not None
    assert (limits.cpus, limits.memory_bytes, limits.pids) == (1.0, 256 * 1024**2, 128)
    assert [replica.launch for replica in lifted.replicas] == [
        replica.launch for replica in limited.replicas
    ]


def test_a_container_joins_the_networks_it_reaches_into_and_no_other():
    joined = {
        replica.service: [attachment.segment for attachment in replica.attachments]
        for replica in planned("tiered").replicas
    }
    contract = {
        "nginx-lb": ["frontend"],
        "api-gateway": ["frontend", "backend"],
        "product-service": ["backend", "database"],
        "order-service": ["backend", "database"],
        "service-registry": ["backend"],
        "redis-cache": ["database"],
        "postgres-db": ["database"],
    }
    assert {service: joined[service] for service in contract} == contract


def test_flows_carry_the_destinations_port_and_their_worlds():
    flows = {(flow.source, flow.destination): (flow.port, flow.worlds) for flow in planned().flows}
    assert flows["host", "api-gateway"] == (3000, ("docker",))
    assert flows["order-service", "postgres-db"] == (5432, ("net", "docker"))
    assert ("redis-cache", "postgres-db") not in flows


@pytest.mark.parametrize("world", WORLDS)
def test_the_environment_names_the_replicas_own_address_and_no_secret(world: WorldName):
    for replica in planned("tiered").replicas:
        environment = replica.environment_in(world)
        assert str(replica.address_in(world)) == environment["TWINSTACK_ADDRESS"]
        assert replica.name == environment["TWINSTACK_REPLICA"]
        assert replica.service == environment["TWINSTACK_SERVICE"]
        subnets = [str(segment.subnet_in(world)) for segment in planned("tiered").segments]
        assert environment["TWINSTACK_NETWORKS"].split() == subnets
        assert not [key for key in environment if "PASSWORD" in key.upper()]


def test_an_unknown_shape_is_refused_with_those_there_are():
    with pytest.raises(TwinstackError, match=r"shape mesh: is not declared: there are flat, tier"):
        resolve(declared(), "mesh")


def test_an_unusable_instance_is_refused():
    with pytest.raises(TwinstackError, match="TWINSTACK_INSTANCE"):
        resolve(declared(), "flat", "A B")


def test_an_unknown_replica_is_refused_with_those_there_are():
    with pytest.raises(TwinstackError, match=r"nobody: is no service: there are nginx-lb, "):
        planned().replica("nobody")


def test_an_unknown_segment_is_a_key_error():
    with pytest.raises(KeyError, match="nowhere"):
        planned().segment("nowhere")


def test_the_published_port_of_a_service_is_found_by_world():
    port = planned().published_port("docker", "api-gateway")
    assert port is not None
    assert (3000, IPv4Address("127.0.0.1")) == (port.port, port.bind)
    assert planned().published_port("net", "api-gateway") is None
