"""What one host's world is called there is called by its host in the overlay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.why_evidence import REQUEST, SILENT, seen_until, sound
from twinstack.model.plan import HOST
from twinstack.observe.why.case import FailureCause
from twinstack.observe.why.evidence import Drop, MetRule
from twinstack.observe.why.explanation import explain
from twinstack.overlay import why
from twinstack.overlay.crossing import HostSide
from twinstack.overlay.why import on_host, renamed


@pytest.mark.parametrize(
    ("remedy", "becomes"),
    [
        ("invoke net.up", "invoke overlay.up"),
        ("invoke net.restart redis-cache", "invoke overlay.up"),
        ("look at invoke net.logs redis-cache", "look at invoke overlay.logs redis-cache"),
        (
            "invoke net.exec redis-cache -- ip link set eth0 up",
            "invoke overlay.exec host-1 -- ip netns exec redis-cache ip link set eth0 up",
        ),
    ],
)
def test_a_remedy_names_the_overlays_tasks_and_the_replicas_host(remedy: str, becomes: str):
    assert renamed(remedy, {"redis-cache": "host-1"}) == becomes


def test_a_command_of_the_host_is_run_on_it():
    cause = FailureCause("x", "ve-order", "this host is wrong", "ip link set ve-order up")
    there = on_host(cause, "host-2")
    assert there.remedy == "invoke overlay.exec host-2 -- ip link set ve-order up"
    assert there.sentence == "host-2 is wrong"


def test_seen_from_the_other_host_its_rules_and_drops_are_the_hosts_own():
    evidence = sound(**SILENT)
    plan = evidence.plan
    far = HostSide("host-2", plan, None, (), {}, frozenset(), {}, {"filter": ()}, {})  # type: ignore[arg-type]
    rules = tuple(
        MetRule(where, "filter", "FORWARD", "", "drop", REQUEST) for where in (HOST, "host-2")
    )
    drops = tuple(Drop("NETFILTER_DROP", where, "", REQUEST) for where in ("host-2", HOST))
    state = evidence.namespaces[HOST]
    seen = why.seen_from(
        replace(
            evidence,
            rules=rules,
            drops=drops,
            namespaces={**evidence.namespaces, "host-2": state},
        ),
        far,
    )
    assert [rule.where for rule in seen.rules] == ["the other host", HOST]
    assert [drop.where for drop in seen.drops] == [HOST]
    assert seen.namespaces[HOST] is state


def test_between_replicas_of_one_host_its_commands_are_run_on_it():
    evidence = seen_until(sound(**SILENT), "order-service/eth0")
    host = evidence.namespaces[HOST]
    down = replace(host.links["ve-order"], up=False)
    links = {**host.links, "ve-order": down}
    broken = replace(evidence, namespaces={**evidence.namespaces, HOST: replace(host, links=links)})
    explained = explain(broken, why.causes_on("host-1"))
    assert explained.cause == "host-end-down"
    assert explained.remedy == "invoke overlay.exec host-1 -- ip link set ve-order up"
