"""What is wrong at the source is named first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core_cases import declared
from tests.support.why_evidence import (
    ANSWER,
    REFUSED,
    SILENT,
    SOURCE,
    found,
    link,
    namespace,
    sound,
    with_destination,
)
from twinstack.linux.links import ChosenRoute
from twinstack.model.plan import resolve
from twinstack.observe.why.evidence import MetRule
from twinstack.observe.why.explanation import explain
from twinstack.observe.why.question import parse


def test_a_name_that_leads_elsewhere_does_not_pass_even_if_somebody_answers():
    assert found(replace(sound(), hosts_entry="10.0.0.99")).cause == "name-wrong"
    assert found(replace(sound(), hosts_entry=None)).cause == "name-unknown"
    assert explain(replace(sound(), hosts_entry=None, named=False)).passes


def test_a_name_that_only_dockers_name_server_knows_is_no_failure():
    question = replace(sound().question, world="docker")
    assert explain(replace(sound(), question=question, hosts_entry=None)).passes


TIERED = resolve(declared(), "tiered")


@pytest.mark.parametrize("to", ["redis-cache", "198.51.100.9:80"])
def test_a_container_of_several_networks_may_leave_by_any_of_its_gateways(to: str):
    """Docker chooses the default gateway among them by the networks' names."""
    links = (
        link("eth0", 2, addresses=frozenset({"172.30.0.20/24"})),
        link("eth1", 4, addresses=frozenset({"172.30.1.20/24"})),
    )
    gateway = str(TIERED.segment("backend").docker_gateway)
    way = ChosenRoute("eth1", gateway, None)
    evidence = replace(
        sound(**SILENT),
        plan=TIERED,
        question=parse(TIERED, "docker", "api-gateway", to, "tcp"),
        named=False,
        sightings=(),
    )
    attempt = replace(evidence.attempt, address=evidence.question.address)
    there = namespace(link("eth0", 2, addresses=frozenset({"172.30.2.50/24"})))
    namespaces = {"api-gateway": namespace(*links, route=way), "host": evidence.host}
    namespaces["redis-cache"] = there
    case = replace(evidence, attempt=attempt, namespaces=namespaces)
    assert found(case).cause not in {"wrong-route", "source-address"}
    wrong = namespace(*links, route=ChosenRoute("eth1", "172.30.1.250", None))
    namespaces["api-gateway"] = wrong
    assert found(replace(case, namespaces=namespaces)).cause == "wrong-route"


def test_a_rule_of_the_sources_that_drops_the_answer_is_named():
    rule = MetRule(SOURCE, "filter", "INPUT", "-A INPUT -p tcp -j DROP", "drop", ANSWER)
    result = found(replace(sound(**SILENT), rules=(rule,)))
    assert result.cause == "source-rule"
    assert "drops the answer" in result.sentence
    assert result.remedy.startswith("invoke net.exec order-service -- iptables")


def test_what_only_differs_from_the_plan_is_no_cause_where_the_destination_answers():
    way = ChosenRoute("eth0", "10.0.0.1", None)
    evidence = sound(status=503, said="no database")
    altered = replace(evidence.source, route=way)
    namespaces = {**evidence.namespaces, SOURCE: altered}
    assert found(replace(evidence, namespaces=namespaces)).cause == "unwell"
    refused = with_destination(replace(sound(**REFUSED), namespaces=namespaces), listeners=())
    assert found(refused).cause == "not-listening"


def test_the_remedy_of_this_hosts_routes_is_a_command_of_this_host():
    question = parse(TIERED, "net", "host", "redis-cache", "tcp")
    evidence = replace(sound(**SILENT), question=question, sightings=(), named=False)
    lost = replace(evidence.host, route=None, no_route="ENETUNREACH")
    result = found(replace(evidence, namespaces={**evidence.namespaces, "host": lost}))
    assert result.cause == "no-route"
    assert "exec" not in result.remedy
