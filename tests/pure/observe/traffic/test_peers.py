"""Addresses have the plan's names in every shape and world; flows are compared with the plan."""

from __future__ import annotations

from ipaddress import ip_address
from socket import IPPROTO_ICMP as ICMP
from socket import IPPROTO_TCP as TCP
from socket import IPPROTO_UDP as UDP

import pytest

from tests.support import craft
from twinstack.observe.traffic.packets import numbers_of
from twinstack.observe.traffic.peers import NamedPeer


def peer(address: str) -> NamedPeer:
    return craft.peers().peer(*numbers_of(ip_address(address)))


@pytest.mark.parametrize(
    ("address", "name", "instance", "world"),
    [
        ("10.0.0.20", "api-gateway", "api-gateway", "net"),
        ("10.0.0.31", "product-service", "product-service-2", "net"),
        ("172.21.0.32", "product-service", "product-service-3", "net"),
        ("172.22.0.50", "redis-cache", "redis-cache", "net"),
        ("172.30.0.30", "product-service", "product-service", "docker"),
        ("172.30.2.20", "api-gateway", "api-gateway", "docker"),
        ("172.30.1.20", "api-gateway", "api-gateway", "docker"),
        ("10.0.0.1", "host", "10.0.0.1", "net"),
        ("172.30.3.1", "host", "172.30.3.1", "docker"),
        ("10.0.0.99", "unknown", "10.0.0.99", "net"),
        ("10.0.0.255", "broadcast", "10.0.0.255", "net"),
        ("203.0.113.10", "outside", "203.0.113.10", None),
        ("2001:db8::1", "outside", "2001:db8::1", None),
        ("127.0.0.1", "loopback", "127.0.0.1", None),
        ("::1", "loopback", "::1", None),
        ("224.0.0.251", "multicast", "224.0.0.251", None),
        ("ff02::fb", "multicast", "ff02::fb", None),
        ("255.255.255.255", "multicast", "255.255.255.255", None),
        ("fe80::1", "link-local", "fe80::1", None),
        ("0.0.0.0", "unspecified", "0.0.0.0", None),
    ],
)
def test_an_address_is_named_by_the_plans(address: str, name: str, instance: str, world):
    named = peer(address)
    assert (named.name, named.instance, named.world) == (name, instance, world)


@pytest.mark.parametrize(
    ("client", "server", "protocol", "port", "expected"),
    [
        (craft.NGINX, craft.GATEWAY, TCP, 3000, "declared"),
        (craft.NGINX, craft.GATEWAY, TCP, 3001, "undeclared"),
        (craft.NGINX, craft.GATEWAY, UDP, 3000, "undeclared"),
        (craft.GATEWAY, craft.NGINX, TCP, 80, "undeclared"),
        (craft.PRODUCT, craft.PRODUCT2, TCP, 5000, "undeclared"),
        (craft.ORDER, craft.PRODUCT2, TCP, 5000, "declared"),
        ("172.21.0.40", "172.22.0.50", TCP, 6379, "declared"),
        (craft.CLIENT, craft.NGINX, TCP, 80, "declared"),
        (craft.HOST, craft.NGINX, TCP, 80, "declared"),
        (craft.HOST, craft.GATEWAY, TCP, 3000, "undeclared"),  # in Docker's world only
        ("172.30.0.1", "172.30.0.20", TCP, 3000, "declared"),
        (craft.CLIENT, "172.30.0.20", TCP, 3000, "undeclared"),
        (craft.ORDER, craft.CLIENT, TCP, 443, "declared"),
        (craft.ORDER, craft.CLIENT, UDP, 53, "declared"),
        (craft.ORDER, craft.CLIENT, TCP, 25, "undeclared"),
        (craft.ORDER, craft.CLIENT, UDP, 443, "undeclared"),
        (craft.ORDER, craft.HOST, TCP, 22, "undeclared"),
        (craft.ORDER, "10.0.0.99", TCP, 5000, "undeclared"),
        (craft.ORDER, "224.0.0.251", UDP, 5353, ""),
        (craft.GATEWAY, craft.ORDER, ICMP, 0, ""),
        (craft.CLIENT, "198.51.100.1", TCP, 22, ""),
    ],
)
def test_a_connection_is_declared_or_not(
    client: str, server: str, protocol: int, port: int, expected: str
):
    assert craft.peers().verdict(peer(client), peer(server), protocol, port) == expected


def test_a_published_port_is_judged_by_the_service_behind_it():
    # nginx-lb serves the world; a service is not the world, by whichever port it comes.
    assert craft.peers().verdict(peer(craft.ORDER), peer(craft.HOST), TCP, 8080) == "undeclared"
