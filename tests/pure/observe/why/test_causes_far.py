"""What a destination lacks is named from what shows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.why_evidence import (
    DESTINATION,
    MUTE,
    PLACES,
    PLAN,
    PROCESS,
    REFUSED,
    REQUEST,
    SILENT,
    found,
    link,
    listener,
    namespace,
    seen_until,
    sound,
    with_destination,
)
from twinstack.linux.neigh import Neighbour
from twinstack.observe.why.evidence import Drop, ProcessFacts
from twinstack.observe.why.explanation import explain
from twinstack.observe.why.question import parse


@pytest.mark.parametrize(
    ("process", "cause"),
    [
        (replace(PROCESS, state="T"), "suspended"),
        (replace(PROCESS, frozen=True), "frozen"),
        (replace(PROCESS, files=1024), "files"),
        (replace(PROCESS, pids=100), "pids"),
        (replace(PROCESS, throttled_s=0.8), "cpu-limit"),
        (replace(PROCESS, oom_kills=3), "memory"),
        (PROCESS, "no-answer"),
    ],
)
def test_a_service_that_accepts_and_does_not_answer_lacks_something(
    process: ProcessFacts, cause: str
):
    assert found(replace(sound(**MUTE), process=process)).cause == cause


def test_a_port_that_nothing_listens_on_is_told_from_another_address():
    elsewhere = (listener("127.0.0.1", 5432),)
    evidence = with_destination(sound(**REFUSED), listeners=elsewhere)
    assert found(evidence).cause == "listens-elsewhere"
    assert "127.0.0.1:5432 alone" in found(evidence).sentence
    nothing = with_destination(sound(**REFUSED), listeners=(listener("0.0.0.0", 80),))
    assert found(nothing).cause == "not-listening"
    assert "it listens on 80" in found(nothing).sentence


def test_a_full_queue_of_connections_is_named():
    queue = (listener("0.0.0.0", 5432, recv_q=129, send_q=128),)
    assert found(with_destination(sound(**SILENT), listeners=queue)).cause == "accept-queue"


def test_a_destination_that_is_gone_does_not_run():
    evidence = seen_until(sound(**SILENT), "br-app")
    left = {name: each for name, each in evidence.namespaces.items() if name != DESTINATION}
    assert found(replace(evidence, namespaces=left, process=None)).cause == "not-running"


def test_a_narrow_link_is_named_only_where_full_packets_are_lost():
    evidence = sound(**MUTE)
    host = evidence.host
    narrow = {**host.links, "ve-postgres-db": replace(host.links["ve-postgres-db"], mtu=600)}
    namespaces = {**evidence.namespaces, "host": replace(host, links=narrow)}
    assert found(replace(evidence, namespaces=namespaces)).cause == "mtu"
    assert explain(replace(sound(), namespaces=namespaces)).passes


def test_without_any_other_cause_the_kernels_reason_is_given():
    drop = Drop("TCP_CSUM", DESTINATION, "eth0", REQUEST)
    result = found(replace(sound(**SILENT), drops=(drop,)))
    assert result.cause == "kernel:TCP_CSUM"
    assert "tcp csum" in result.sentence


def test_an_unanswered_arp_request_is_named():
    evidence = seen_until(sound(outcome="failed", error="EHOSTUNREACH"), PLACES[0])
    lost = (Neighbour("10.0.0.60", "eth0", "", "FAILED"),)
    source = replace(evidence.source, neighbours=lost)
    without = replace(
        evidence, sightings=(), namespaces={**evidence.namespaces, "order-service": source}
    )
    assert found(without).cause == "no-neighbour"


def test_processes_that_were_killed_once_explain_no_answer_of_today():
    evidence = replace(sound(status=503, said="no database"), process=replace(PROCESS, oom_kills=1))
    assert found(evidence).cause == "unwell"


def test_links_that_are_all_equally_narrow_lose_nothing():
    evidence = sound(**MUTE)
    namespaces = {
        name: replace(each, links={n: replace(link, mtu=1450) for n, link in each.links.items()})
        for name, each in evidence.namespaces.items()
    }
    assert found(replace(evidence, namespaces=namespaces)).cause == "no-answer"


def test_a_link_that_takes_no_part_in_arp_is_no_cause_once_it_answered():
    evidence = with_destination(sound(**REFUSED), listeners=())
    links = evidence.namespaces[DESTINATION].links
    silent = {"eth0": replace(links["eth0"], arp=False)}
    assert found(with_destination(evidence, links=silent)).cause == "not-listening"


def test_a_datagram_that_nobody_listens_for_is_told_from_a_lost_one():
    question = replace(sound().question, protocol="udp")
    evidence = replace(sound(**REFUSED), question=question)
    result = found(evidence)
    assert result.cause == "not-listening"
    assert "UDP port 5432" in result.sentence


def test_what_docker_proxy_accepted_says_nothing_of_the_container():
    question = parse(PLAN, "docker", "host", "localhost:3000", "tcp")
    evidence = replace(sound(**MUTE), question=question, sightings=(), named=False)
    there = namespace(link("eth0", 2, addresses=frozenset({"172.30.0.20/24"})))
    namespaces = {"host": evidence.host, "api-gateway": there}
    dnat = "-A OUTPUT -p tcp --dport 3000 -j DNAT --to-destination 172.30.0.20:3000"
    evidence = replace(
        evidence, namespaces=namespaces, saved_rules={"nat": (":OUTPUT ACCEPT", dnat)}
    )
    assert found(evidence).cause == "not-listening"
    listens = replace(there, listeners=(listener("0.0.0.0", 3000),))
    result = found(replace(evidence, namespaces={**namespaces, "api-gateway": listens}))
    assert result.cause == "no-answer"
    assert "docker-proxy" in result.sentence
    assert "invoke why host api-gateway --world docker" in result.remedy


def test_an_answer_that_is_no_http_does_not_pass_where_http_is_spoken():
    question = parse(PLAN, "net", "order-service", "service-registry", "tcp")
    entry = question.address
    evidence = replace(sound(said="-ERR what?"), question=question, hosts_entry=entry)
    assert found(evidence).cause == "not-http"


def test_the_remedy_of_a_queue_runs_where_the_queue_is():
    drop = Drop("QDISC_DROP", DESTINATION, "eth0", REQUEST)
    remedy = found(replace(sound(**SILENT), drops=(drop,))).remedy
    assert remedy.startswith("invoke net.exec postgres-db -- tc qdisc del dev eth0 root")
