from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from tests.support.project import ROOT
from twinstack.errors import TwinstackError
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.swarm.exposure import address_pool, host_only_ports

TOPOLOGY = load(ROOT / "topology.yml")
PLAN = resolve(TOPOLOGY, "tiered", "t")
UNDERLAY = TOPOLOGY.hosts.underlay


def test_a_host_only_port_is_one_that_compose_binds_to_127_0_0_1():
    gateway = PLAN.published_port("docker", "api-gateway")
    assert gateway is not None
    assert host_only_ports(PLAN) == (gateway.port,)


def test_the_pool_overlaps_no_network_of_ours():
    pool = IPv4Network(address_pool(PLAN, UNDERLAY))
    assert not any(
        pool.overlaps(network)
        for segment in PLAN.segments
        for network in (segment.subnet, segment.docker_subnet, UNDERLAY)
    )
    assert address_pool(PLAN, IPv4Network("172.29.4.0/24")) != str(pool)
    with pytest.raises(TwinstackError, match="are all in use"):
        address_pool(PLAN, UNDERLAY, ["172.30.0.0/16"])
