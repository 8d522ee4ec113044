from __future__ import annotations

from twinstack.swarm.nodes import SwarmNode, SwarmPaths, namespace_of


def test_everything_of_a_node_is_under_names_of_its_instance():
    node, paths = SwarmNode("t", "host-1"), SwarmPaths("t")
    assert node.namespace.name == namespace_of("t", "host-1") == "ts-t-host-1"
    assert node.engine.state.is_relative_to(paths.run)
    assert node.engine.data_root.is_relative_to(paths.lib)
    assert node.engine.cgroup_parent == "/twinstack-swarm-t-host-1"


def test_an_engine_runs_in_its_hosts_network_under_its_hosts_name():
    node = SwarmNode("t", "host-1")
    assert node.engine.network_namespace == node.namespace
    assert node.engine.prefix[-1] == "host-1"
