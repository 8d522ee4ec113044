"""A cluster's hosts carry a mark of their own."""

from __future__ import annotations

from twinstack.model import names
from twinstack.swarm import hosts


def test_net_down_leaves_a_clusters_hosts():
    # `net.up` and `net.down` of the same instance remove every namespace with the instance's mark.
    assert hosts.mark("main") != names.mark("main")
    assert hosts.mark("main") != hosts.mark("other")
