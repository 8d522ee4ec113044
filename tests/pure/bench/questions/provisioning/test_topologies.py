"""Topologies of any size are read by the real loader."""

from __future__ import annotations

import pytest

from bench.questions.provisioning import topologies
from twinstack.errors import TopologyError


@pytest.mark.parametrize("size", [8, 100, 1000])
def test_a_topology_of_any_size_is_accepted_and_has_so_many_namespaces(size):
    plan = topologies.plan(size, "t")

    assert len(plan.replicas) == size
    assert len({replica.address for replica in plan.replicas}) == size


def test_a_topology_beyond_the_ports_of_one_bridge_is_refused():
    with pytest.raises(TopologyError, match="1023 ports"):
        topologies.sized(1024)
