"""What a destination lacks is named from what shows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.why_evidence import (
    DESTINATION,
    MUTE,
    PLACES,
    PROCESS,
    REFUSED,
    REQUEST,
    SILENT,
    found,
    listener,
    seen_until,
    sound,
    with_destination,
)
from twinstack.linux.neigh import Neighbour
from twinstack.observe.why.evidence import Drop, ProcessFacts
from twinstack.observe.why.explanation import explain


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
