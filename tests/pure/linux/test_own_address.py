"""The first address that other machines could use is this host's own."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_address

import pytest

from twinstack.linux.own_address import choose

INNER = [IPv4Network("10.0.0.0/24"), IPv4Network("172.30.0.0/24")]


def test_first_address_of_the_hosts_own_is_taken() -> None:
    addresses = map(ip_address, ("10.0.0.1", "2001:db8::7", "203.0.113.7", "203.0.113.8"))
    assert choose(addresses, INNER) == "203.0.113.7"


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1", "172.30.0.1", "169.254.1.1"])
def test_address_that_no_other_machine_uses_is_none(inner: str) -> None:
    assert choose([IPv4Address(inner)], INNER) is None


def test_host_without_addresses_has_no_second_way() -> None:
    assert choose([], INNER) is None
