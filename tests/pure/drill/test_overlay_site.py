"""What an overlay's drill may name, as far as nothing need be up for it."""

from __future__ import annotations

from tests.support.core_cases import planned
from twinstack.drill.overlay_site import OverlaySite
from twinstack.errors import Missing
from twinstack.model.placement import hosts_of
from twinstack.model.topology import HostsSpec
from twinstack.overlay.host_plans import spread_over_hosts
from twinstack.overlay.world import Overlay


def site(shape: str = "flat") -> OverlaySite:
    plan = planned(shape)
    spread = spread_over_hosts(plan, HostsSpec(), 3)
    return OverlaySite(Overlay(plan, spread, _none, _none))


def _none(*_: object):
    raise Missing("software", "is not built")


def test_a_replica_is_named_with_its_host_and_tunnel():
    made = site()
    host = made.overlay.spread.where["api-gateway"]
    vtep = next(str(each.address) for each in hosts_of(HostsSpec(), 3) if each.name == host)
    text = "{api-gateway.mac} {api-gateway.tunnel} {api-gateway.vtep} {api-gateway.host_end}"
    assert made.written(text) == f"02:54:0a:00:00:14 vx-app {vtep} ve-{host}"


def test_the_gateway_and_the_edge_are_on_different_hosts():
    made = site()
    assert made.overlay.spread.where["api-gateway"] != made.overlay.spread.where["nginx-lb"]


def test_no_host_has_the_address_that_nobody_is_to_have():
    made = site()
    missing = made.written("{nginx-lb.no_vtep}")
    assert missing not in {str(host.address) for host in made.overlay.spread.hosts}
