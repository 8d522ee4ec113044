"""A rule, a table or a limit of the host's is told from others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core_cases import declared
from tests.support.why_evidence import (
    PLAN,
    REFUSED,
    REQUEST,
    SILENT,
    found,
    link,
    listener,
    namespace,
    seen_until,
    sound,
)
from twinstack.linux.links import ChosenRoute
from twinstack.model.plan import resolve
from twinstack.observe.why.evidence import MetRule
from twinstack.observe.why.question import parse
from twinstack.policy.outside import LINK


def test_a_full_connection_table_is_named():
    evidence = seen_until(sound(**SILENT), "br-app")
    host = replace(evidence.host, conntrack=(262_144, 262_144))
    full = replace(evidence, namespaces={**evidence.namespaces, "host": host})
    assert found(full).cause == "conntrack-full"


def rule(text: str, verdict: str = "drop", **more: object) -> MetRule:
    given = {"where": "host", "table": "filter", "chain": "FORWARD", "headers": REQUEST}
    return MetRule(**(given | {"rule": text, "verdict": verdict} | more))  # type: ignore[arg-type]


def test_a_limit_of_the_edge_is_told_from_a_missing_flow():
    jump = rule('-A X -m comment --comment "twinstack:main too many" -j D', "jump")
    last = rule('-A D -m comment --comment "twinstack:main denied" -j DROP')
    evidence = seen_until(replace(sound(**SILENT), rules=(jump, last)), "br-app")
    assert found(evidence).cause == "edge-limit"
    assert found(replace(evidence, rules=(last,))).cause == "rule-missing"


def test_a_rule_of_a_fault_is_no_foreign_one():
    fault = rule('-A F -m comment --comment "twinstack:main fault loss:nginx-lb" -j DROP')
    evidence = seen_until(replace(sound(**SILENT), rules=(fault,)), "br-app")
    assert found(evidence).cause == "fault"


def test_an_instances_name_makes_no_fault():
    plan = resolve(declared(), "flat", "default")
    last = rule('-A D -m comment --comment "twinstack:default denied" -j DROP')
    evidence = seen_until(replace(sound(**SILENT), rules=(last,), plan=plan), "br-app")
    assert found(evidence).cause == "rule-missing"


@pytest.mark.parametrize("to", ["host:443", "172.17.0.2:80", "172.21.0.99:80"])
def test_egress_permits_nothing_on_this_host(to: str):
    """Egress to ports 80 and 443 is declared; it leads out of the host, and nowhere else."""
    jump = rule('-A X -o docker+ -m comment --comment "twinstack:main not out" -j D', "jump")
    last = rule('-A D -m comment --comment "twinstack:main denied" -j DROP')
    question = parse(PLAN, "net", "order-service", to, "tcp")
    evidence = replace(sound(**SILENT), question=question, rules=(jump, last), named=False)
    source = replace(evidence.source, route=ChosenRoute("eth0", "10.0.0.1", None))
    evidence = replace(evidence, namespaces={**evidence.namespaces, "order-service": source})
    result = found(evidence)
    assert (result.cause, result.remedy[:25]) == ("no-flow", "no declaration permits it")
    assert "egress" not in result.remedy or "out of this host" in result.remedy


def test_a_container_is_reached_from_outside_by_its_published_port_alone():
    last = rule('-A D -m comment --comment "twinstack:main denied" -j DROP')
    question = parse(PLAN, "docker", "outside", "nginx-lb:80", "tcp")
    evidence = replace(sound(**SILENT), question=question, rules=(last,), named=False)
    namespaces = {**evidence.namespaces, "outside": namespace()}
    result = found(replace(evidence, sightings=(), namespaces=namespaces))
    assert result.cause == "no-flow"
    assert "published port" in result.sentence
    assert result.remedy == "ask by that port: invoke why outside nginx-lb --world docker"


def test_a_host_that_forwards_nothing_from_outside_is_named():
    question = parse(PLAN, "net", "outside", "redis-cache", "tcp")
    evidence = seen_until(replace(sound(**SILENT), question=question, named=False), "br-app")
    host = replace(evidence.host, sysctls={"ip_forward": 0, f"forwarding.{LINK}": 0})
    namespaces = {**evidence.namespaces, "host": host, "outside": namespace()}
    result = found(replace(evidence, namespaces=namespaces, sightings=()))
    assert (result.cause, result.remedy) == ("forwarding-off", "sysctl -w net.ipv4.ip_forward=1")


def test_a_published_port_without_its_proxy_is_named():
    question = parse(PLAN, "docker", "host", "localhost:3000", "tcp")
    evidence = replace(sound(**REFUSED), question=question, sightings=(), named=False)
    host = replace(evidence.host, listeners=(listener("127.0.0.1", 22),))
    dnat = ":OUTPUT ACCEPT", "-A OUTPUT -p tcp --dport 3000 -j DNAT --to-destination 172.30.0.20"
    there = link("eth0", 2, addresses=frozenset({"172.30.0.20/24"}))
    gone = replace(
        evidence,
        namespaces={"host": host, "api-gateway": namespace(there)},
        saved_rules={"nat": (dnat[0], f"{dnat[1]}:3000")},
    )
    result = found(gone)
    assert result.cause == "not-published"
    assert "docker-proxy" in result.sentence


def test_a_rule_of_nftables_is_named_by_its_table():
    native = rule("", table="lab", chain="input", foreign=True)
    result = found(seen_until(replace(sound(**SILENT), rules=(native,)), "br-app"))
    assert result.cause == "foreign-rule"
    assert "nft list table lab" in result.remedy
