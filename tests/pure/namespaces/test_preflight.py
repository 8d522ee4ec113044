"""What is in our way on a host is reported before anything is changed: an error for each clash."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core_cases import link, planned, satisfied
from twinstack.errors import NotOurs, SeveralFailed
from twinstack.linux.links import LinkFacts
from twinstack.model.names import link_group
from twinstack.namespaces.facts import MarkedObjects, NamespaceFacts, NetFacts, ours
from twinstack.namespaces.preflight import check
from twinstack.namespaces.steps import Rules, network_steps

PLAN = planned("tiered")
GROUP = link_group(PLAN.instance)
STEPS = network_steps(PLAN)
OURS = satisfied(STEPS)


def clash(facts: NetFacts) -> str:
    with pytest.raises(NotOurs) as caught:
        check(PLAN, STEPS, facts)
    assert len(str(caught.value).splitlines()) == 1
    assert "; " in str(caught.value)
    return str(caught.value)


def test_an_empty_host_and_a_host_of_ours_are_fit():
    check(PLAN, STEPS, NetFacts())
    routes = {(str(segment.subnet), segment.bridge): None for segment in PLAN.segments}
    check(PLAN, STEPS, replace(OURS, routes={**routes, ("192.168.7.0/24", "eth0"): None}))


CLASHES = {
    "foreign bridge": (
        NetFacts(links={"br-backend": link("br-backend", kind="bridge", alias=None)}),
        "bridge br-backend: is not ours: it has no mark of ours",
    ),
    "marked by others": (
        NetFacts(links={"br-backend": link("br-backend", kind="bridge", alias="x")}),
        "bridge br-backend: is not ours: its alias is x",
    ),
    "another kind": (
        NetFacts(links={"br-backend": link("br-backend", kind="dummy")}),
        "dummy br-backend: is not ours",
    ),
    "no kind": (
        NetFacts(links={"br-backend": link("br-backend", kind=None, alias=None)}),
        "link br-backend: is not ours",
    ),
    "foreign veth": (
        NetFacts(links={"ve-nginx-lb": link("ve-nginx-lb", alias=None)}),
        "veth ve-nginx-lb: is not ours",
    ),
    "bridge for a veth": (
        NetFacts(links={"ve-nginx-lb": link("ve-nginx-lb", kind="bridge")}),
        "bridge ve-nginx-lb: is not ours",
    ),
    "foreign namespace": (
        NetFacts(namespaces={"nginx-lb": NamespaceFacts("nginx-lb", 4, None)}),
        "namespace nginx-lb: is not ours",
    ),
    "same subnet": (
        NetFacts(routes={("172.21.0.0/24", "docker0"): None}),
        "subnet 172.21.0.0/24: is taken: the host reaches 172.21.0.0/24 by docker0",
    ),
    "part of a subnet": (
        NetFacts(routes={("172.21.0.128/25", "eth0"): None}),
        "the host reaches 172.21.0.128/25 by eth0",
    ),
    "one address": (
        NetFacts(routes={("172.22.0.60/32", ""): None}),
        "the host reaches 172.22.0.60/32 by a route of its own",
    ),
    "busy port": (
        NetFacts(listeners={8080: "0.0.0.0"}),
        "port 8080: is busy: a program listens on 0.0.0.0:8080",
    ),
    "another instance": (
        NetFacts(links={"br-frontend": link("br-frontend", kind="bridge", alias="twinstack:lab")}),
        "bridge br-frontend: is not ours: it belongs to instance lab",
    ),
    "another instance of another shape": (
        NetFacts(namespaces={"nginx-lb": NamespaceFacts("nginx-lb", 4, "twinstack:lab")}),
        "namespace nginx-lb: is not ours: it belongs to instance lab",
    ),
}


@pytest.mark.parametrize("name", CLASHES)
def test_a_clash_is_one_clear_error(name: str):
    facts, text = CLASHES[name]
    assert text in clash(facts)


def test_another_instance_is_reported_once_and_not_for_every_link():
    links = {name: replace(link, alias="twinstack:lab") for name, link in OURS.links.items()}
    assert "TWINSTACK_INSTANCE=lab invoke net.down" in clash(replace(OURS, links=links))


def test_several_clashes_are_reported_together():
    facts = NetFacts(
        links={"br-backend": link("br-backend", kind="bridge", alias=None)},
        routes={("172.21.0.0/24", "docker0"): None},
        listeners={8080: "127.0.0.1"},
    )
    with pytest.raises(SeveralFailed) as caught:
        check(PLAN, STEPS, facts)
    assert len(caught.value.failures) == 3
    assert len(str(caught.value).splitlines()) == 4


def seen(link: LinkFacts, *, intended: frozenset[str] = frozenset()) -> NetFacts:
    owned = ours((link,), PLAN.mark, intended)
    return NetFacts(links={link.name: link}, owned=MarkedObjects(links=owned))


def test_what_an_interrupted_up_left_unmarked_is_ours():
    unmarked = link("br-backend", kind="bridge", alias=None)
    check(PLAN, STEPS, seen(unmarked, intended=frozenset({"br-backend"})))
    assert "it has no mark of ours" in clash(seen(unmarked))
    assert "it has no mark of ours" in clash(seen(replace(unmarked, group=GROUP)))
    marked = replace(unmarked, alias="lab", group=GROUP)
    assert "its alias is lab" in clash(seen(marked, intended=frozenset({"br-backend"})))


def test_a_foreign_rule_in_a_chain_of_ours_is_a_clash():
    hook = next(step.hook for step in STEPS if isinstance(step, Rules))
    mine = (f":{hook.chain} - [0:0]", *hook.lines)
    check(PLAN, STEPS, NetFacts(owned=MarkedObjects(rules={hook.table: mine})))
    strange = f"-A {hook.chain} -p tcp -m tcp --dport 22 -j ACCEPT"
    assert "--dport 22" in clash(
        NetFacts(owned=MarkedObjects(rules={hook.table: (*mine, strange)}))
    )


@pytest.mark.parametrize("port", [80, 3000, 8088, 18080])
def test_ports_that_this_world_does_not_publish_may_be_busy(port: int):
    check(PLAN, STEPS, NetFacts(listeners={port: "0.0.0.0"}))


@pytest.mark.parametrize("route", ["172.19.0.0/16", "172.23.0.0/16", "10.0.0.0/24", "0.0.0.0/32"])
def test_other_routes_of_the_host_are_no_clash(route: str):
    check(PLAN, STEPS, NetFacts(routes={(route, "eth0"): None}))


def test_a_default_route_in_two_halves_is_no_clash():
    check(
        PLAN, STEPS, NetFacts(routes={("0.0.0.0/1", "tun0"): None, ("128.0.0.0/1", "tun0"): None})
    )
