"""What a user writes becomes one connection, or one clear line."""

from __future__ import annotations

import pytest

from tests.support.core_cases import declared
from twinstack.errors import WrongUse
from twinstack.model.plan import resolve
from twinstack.observe.why.question import Question, parse

PLAN = resolve(declared(), "flat")


def asked(source: str, destination: str, protocol: str = "tcp") -> Question:
    return parse(PLAN, "net", source, destination, protocol)


def test_a_service_is_its_first_replica_and_has_its_own_port():
    question = asked("api-gateway", "product-service")
    assert (question.source, question.destination) == ("api-gateway", "product-service")
    assert (question.address, question.port, question.speech) == ("10.0.0.30", 5000, "http")
    assert asked("nginx-lb", "product-service-2").address == "10.0.0.31"
    assert asked("order-service", "redis-cache").speech == "redis"
    assert asked("order-service", "postgres-db:5433").speech == ""


def test_an_address_of_the_plan_is_its_replica_and_of_a_bridge_the_host():
    assert asked("order-service", "10.0.0.60:5432").destination == "postgres-db"
    assert asked("order-service", "10.0.0.1:22").destination == "host"
    assert asked("order-service", "198.51.100.9:80").destination == ""


def test_a_published_port_leads_to_its_replica():
    question = asked("host", "localhost:8080")
    assert (question.destination, question.published, question.port) == ("nginx-lb", True, 8080)
    assert asked("outside", "nginx-lb").published
    assert not asked("outside", "redis-cache").published


def test_a_port_of_the_host_is_published_for_tcp_alone():
    ping = asked("outside", "nginx-lb", "ping")
    assert (ping.address, ping.port, ping.published) == ("10.0.0.10", 0, False)
    assert not asked("outside", "nginx-lb", "udp").published


def test_only_a_name_is_looked_up_by_the_source():
    assert asked("order-service", "postgres-db").by_name
    assert not asked("order-service", "10.0.0.60:5432").by_name
    assert not asked("outside", "nginx-lb").by_name


@pytest.mark.parametrize(
    ("source", "destination", "protocol", "words"),
    [
        ("nobody", "nginx-lb", "tcp", "nobody: is no end of a connection"),
        ("nginx-lb", "nobody", "tcp", "nobody: is no end of a connection"),
        ("nginx-lb", "api-gateway:http", "tcp", "api-gateway:http: has no such port"),
        ("nginx-lb", "api-gateway:65536", "tcp", "has no such port"),
        ("nginx-lb", "api-gateway:", "tcp", "has no such port"),
        ("nginx-lb", "10.0.0.300:80", "tcp", "10.0.0.300: is no address"),
        ("nginx-lb", "10.0.0.60x", "tcp", "is no address"),
        ("nginx-lb", "host", "tcp", "host: has no port"),
        ("nginx-lb", "198.51.100.9", "tcp", "has no port"),
        ("host", "localhost:9", "tcp", "localhost:9: is no port of this world"),
        ("host", "localhost", "tcp", "is no port of this world"),
        ("host", "localhost:8080", "udp", "--protocol: cannot be udp"),
        ("nginx-lb", "localhost:8080", "tcp", "localhost: is this host itself"),
        ("nginx-lb", "api-gateway", "sctp", "--protocol: cannot be sctp"),
    ],
)
def test_what_cannot_be_asked_is_one_line(source: str, destination: str, protocol: str, words: str):
    with pytest.raises(WrongUse) as caught:
        asked(source, destination, protocol)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
