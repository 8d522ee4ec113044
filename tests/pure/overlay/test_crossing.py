"""What is wrong between two hosts is named from what is there; nothing where all is as planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.core_cases import planned
from tests.support.why_evidence import REQUEST, SILENT, link, sound
from twinstack.linux.links import LinkFacts
from twinstack.linux.neigh import ALL_ZEROS_MAC, NeighbourEntry
from twinstack.model import names
from twinstack.model.plan import HOST
from twinstack.model.topology import HostsSpec
from twinstack.model.vxlan import OVERLAY_MTU, mac_of
from twinstack.namespaces.steps import network_steps
from twinstack.namespaces.vxlan_steps import SourceRoute, VxlanEntries, VxlanPort
from twinstack.observe.why.case import Case
from twinstack.observe.why.evidence import Drop
from twinstack.overlay import why
from twinstack.overlay.crossing import LOOKS, Crossing, HostSide
from twinstack.overlay.host_plans import Spread, host_plan, spread_over_hosts

PLAN = planned("flat")
SPREAD = spread_over_hosts(PLAN, HostsSpec(), 2)
SOURCE = "api-gateway"
NEAR = SPREAD.where[SOURCE]
DESTINATION = next(
    each.name for each in PLAN.replicas_of("product-service") if SPREAD.where[each.name] != NEAR
)
FAR = SPREAD.where[DESTINATION]
MAC = mac_of(PLAN.replica(DESTINATION).address)
BACK = mac_of(PLAN.replica(SOURCE).address)


def side(name: str) -> HostSide:
    """Give a host on which all is as planned."""
    plan = host_plan(PLAN, SPREAD, SPREAD.host(name))
    assert plan.vtep is not None
    steps = tuple(network_steps(plan))
    port = next(step for step in steps if isinstance(step, VxlanPort))
    held = frozenset({f"{plan.vtep.address}/24"})
    found = {
        port.link: link(
            port.link, 7, kind="vxlan", vxlan=port.identity, mtu=OVERLAY_MTU, master=port.bridge
        ),
        "eth0": link("eth0", 2, addresses=held),
    }
    entries = next(step for step in steps if isinstance(step, VxlanEntries)).entries
    routes = {
        (str(step.subnet), step.bridge): str(step.source)
        for step in steps
        if isinstance(step, SourceRoute)
    }
    return HostSide(name, plan, plan.vtep, steps, found, entries, routes, {}, {SOURCE: 1})


def crossing(spread: Spread = SPREAD) -> Crossing:
    underlay = {
        names.host_link(name): link(names.host_link(name), number, master=spread.bridge)
        for number, name in enumerate((NEAR, FAR), 3)
    }
    underlay[spread.bridge] = link(spread.bridge, 9, kind="bridge")
    return Crossing(side(NEAR), side(FAR), SOURCE, DESTINATION, spread, underlay, True)


def found(way: Crossing) -> tuple[str, str]:
    """Give the first cause and its place."""
    causes = (cause for look in LOOKS if (cause := look(way)))
    first = next(causes, None)
    return (first.cause, first.where) if first else ("", "")


def altered(host: HostSide, name: str, **more: object) -> HostSide:
    changed: LinkFacts = replace(host.links[name], **more)  # type: ignore[arg-type]
    return replace(host, links={**host.links, name: changed})


def without(host: HostSide, mac: str, table: str) -> HostSide:
    kept = (each for each in host.entries if (each.mac, each.table) != (mac, table))
    return replace(host, entries=frozenset(kept))


def beside(host: HostSide, *entries: NeighbourEntry) -> HostSide:
    return replace(host, entries=host.entries | set(entries))


def vxlan(host: HostSide, **more: object) -> HostSide:
    known = host.links["vx-app"].vxlan
    assert known is not None
    return altered(host, "vx-app", vxlan=replace(known, **more))  # type: ignore[arg-type]


def at(way: Crossing, end: str, host: HostSide) -> Crossing:
    return replace(way, near=host) if end == "near" else replace(way, far=host)


def test_between_hosts_on_which_all_is_as_planned_nothing_is_wrong() -> None:
    assert found(crossing()) == ("", "")


@pytest.mark.parametrize("end", ["near", "far"])
@pytest.mark.parametrize(
    ("change", "cause", "place"),
    [
        (lambda host: altered(host, "vx-app", up=False), "tunnel-down", "vx-app"),
        (lambda host: altered(host, "vx-app", master=None), "tunnel-not-on-bridge", "vx-app"),
        (lambda host: vxlan(host, vni=1), "wrong-vni", "vx-app"),
        (lambda host: vxlan(host, port=4790), "wrong-port", "vx-app"),
        (lambda host: vxlan(host, local="any"), "wrong-local", "vx-app"),
        (lambda host: altered(host, "eth0", up=False), "underlay-down", "eth0"),
        (lambda host: altered(host, "eth0", addresses=frozenset()), "underlay-address", "eth0"),
        (lambda host: altered(host, "eth0", mtu=1400), "underlay-mtu", "eth0"),
        (
            lambda host: replace(
                host, rules={"filter": ("-A INPUT -p udp -m udp --dport 4789 -j DROP",)}
            ),
            "vxlan-denied",
            "eth0",
        ),
    ],
)
def test_what_is_wrong_at_one_host_is_named_with_its_place(
    end: str, change: Callable[[HostSide], HostSide], cause: str, place: str
) -> None:
    way = crossing()
    host: HostSide = getattr(way, end)
    assert found(at(way, end, change(host))) == (cause, f"{host.name}/{place}")


@pytest.mark.parametrize(("end", "mac"), [("near", MAC), ("far", BACK)])
def test_an_entry_that_is_missing_is_named_on_either_way(end: str, mac: str) -> None:
    way = crossing()
    for table in ("vxlan", "bridge"):
        lacking = without(getattr(way, end), mac, table)
        assert found(at(way, end, lacking))[0] == "fdb-missing"


@pytest.mark.parametrize(("end", "mac"), [("near", MAC), ("far", BACK)])
def test_a_missing_neighbour_is_a_cause_only_where_no_broadcast_asks_for_it(
    end: str, mac: str
) -> None:
    way = crossing()
    lacking = without(getattr(way, end), mac, "neighbour")
    assert found(at(way, end, lacking)) == ("", "")
    mute = without(lacking, ALL_ZEROS_MAC, "vxlan")
    assert found(at(way, end, mute))[0] == "neighbour-missing"


def test_an_entry_that_leads_to_another_host_or_mac_is_named() -> None:
    way = crossing()
    astray = NeighbourEntry("vx-app", "vxlan", MAC, "10.88.0.99")
    lost = beside(without(way.near, MAC, "vxlan"), astray)
    assert found(replace(way, near=lost))[0] == "fdb-wrong-host"
    address = str(PLAN.replica(DESTINATION).address)
    wrong = NeighbourEntry("br-app", "neighbour", "02:00:00:00:00:99", address)
    lying = beside(without(way.near, MAC, "neighbour"), wrong)
    assert found(replace(way, near=lying)) == ("wrong-neighbour", "br-app")


def test_a_host_that_is_cut_off_is_lost_only_where_nothing_runs_on_it() -> None:
    way, port = crossing(), names.host_link(FAR)
    cut = replace(way, underlay={**way.underlay, port: replace(way.underlay[port], up=False)})
    assert found(cut) == ("underlay-down", port)
    assert found(replace(cut, far=replace(cut.far, pids={}))) == ("host-lost", port)


def test_the_underlays_own_bridge_and_its_ports_are_looked_at() -> None:
    way, port = crossing(), names.host_link(NEAR)
    down = replace(way.underlay[SPREAD.bridge], up=False)
    assert found(replace(way, underlay={**way.underlay, SPREAD.bridge: down})) == (
        "underlay-down",
        port,  # the last that the packets reach
    )
    loose = replace(way.underlay[port], master=None)
    assert found(replace(way, underlay={**way.underlay, port: loose})) == ("underlay-down", port)


@pytest.mark.parametrize("end", ["near", "far"])
@pytest.mark.parametrize(
    "lines",
    [
        ("-A INPUT -p udp -m udp --dport 47890 -j DROP",),
        ("-A INPUT ! -s 10.88.0.0/24 -p udp -m udp --dport 4789 -j DROP",),
        ("-A INPUT -i wan0 -p udp -m udp --dport 4789 -j DROP",),
        (":LEFT - [0:0]", "-A LEFT -p udp -m udp --dport 4789 -j DROP"),
        ("-A INPUT -i eth0 -j ACCEPT", "-A INPUT -p udp -m udp --dport 4789 -j DROP"),
    ],
    ids=["another port", "others' packets", "another link", "no chain's", "never reached"],
)
def test_a_rule_that_no_frame_meets_is_no_cause(end: str, lines: tuple[str, ...]) -> None:
    way = crossing()
    host: HostSide = getattr(way, end)
    assert found(at(way, end, replace(host, rules={"filter": lines}))) == ("", "")


@pytest.mark.parametrize("end", ["near", "far"])
def test_a_chains_policy_may_drop_what_carries_frames(end: str) -> None:
    way = crossing()
    host: HostSide = getattr(way, end)
    lines = (":INPUT DROP [0:0]", "-A INPUT -i lo -j ACCEPT")
    denied = at(way, end, replace(host, rules={"filter": lines}))
    assert found(denied) == ("vxlan-denied", f"{host.name}/eth0")


def test_a_narrow_underlay_is_no_cause_where_no_full_packet_can_be_lost() -> None:
    way = crossing()
    narrow = replace(way, near=altered(way.near, "eth0", mtu=1280), lost_full=False)
    assert found(narrow) == ("", "")


def test_a_host_that_asks_needs_a_source_of_its_own_and_a_replica_does_not() -> None:
    way = crossing()
    astray = replace(way, near=replace(way.near, routes={}))
    assert found(astray) == ("", "")
    assert found(replace(astray, source=""))[0] == "source-route"
    assert found(replace(way, source="")) == ("", "")


@pytest.mark.parametrize("end", ["near", "far"])
def test_what_a_hosts_queue_drops_is_mended_on_that_host(end: str) -> None:
    way = crossing()
    host: HostSide = getattr(way, end)
    evidence = sound(**SILENT)
    evidence = replace(
        evidence,
        namespaces={**evidence.namespaces, FAR: evidence.namespaces[HOST]},
        drops=(Drop("QDISC_DROP", HOST if end == "near" else FAR, "ve-x", REQUEST),),
        sightings=(),
    )
    looks = why.causes_of(way, Case(why.seen_from(evidence, way.far)))
    cause = next(each for look in looks if (each := look(Case(evidence))))
    assert cause.cause == "queueing"
    assert cause.sentence == f"traffic control (tc) on ve-x in {host.name} drops it: qdisc drop"
    assert cause.remedy.startswith(f"invoke overlay.exec {host.name} -- tc qdisc del dev ve-x")
