"""A namespace of the student's own is judged by what `ip` prints of it."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from typing import Any

import pytest

from twinstack.course.guest_step import Guest

GUEST = Guest("guest", "ve-guest", "br-app", "10.0.0.250/24", IPv4Address("10.0.0.1"))
LO = {"flags": ["LOOPBACK", "UP"]}
OUTSIDE = {"flags": ["UP"], "mtu": 1500, "master": "br-app", "linkinfo": {"info_kind": "veth"}}
INSIDE = {"flags": ["UP"], "mtu": 1500, "addr_info": [{"local": "10.0.0.250", "prefixlen": 24}]}
ROUTE = {"dst": "default", "gateway": "10.0.0.1"}


def difference(*shown: dict[str, Any] | None, ipv6_off: str = "1") -> str | None:
    texts = ("" if each is None else json.dumps([each]) for each in shown)
    return GUEST.difference(dict(zip(GUEST.looks, (*texts, ipv6_off), strict=True)))


def test_a_guest_as_asked_for_is_done() -> None:
    assert difference(LO, OUTSIDE, INSIDE, ROUTE) is None


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ((None, None, None, None), "is absent"),
        (({"flags": []}, OUTSIDE, INSIDE, ROUTE), "has its loopback down"),
        ((LO, None, INSIDE, ROUTE), "has no link ve-guest on the host"),
        ((LO, {**OUTSIDE, "flags": []}, INSIDE, ROUTE), "ve-guest is down"),
        ((LO, {**OUTSIDE, "master": "br0"}, INSIDE, ROUTE), "ve-guest is a port of br0"),
        (
            (LO, {**OUTSIDE, "master": None}, INSIDE, ROUTE),
            "ve-guest is a port of no bridge",
        ),
        (
            (LO, {**OUTSIDE, "linkinfo": {"info_kind": "tun"}}, INSIDE, ROUTE),
            "ve-guest is a tun, not a veth",
        ),
        ((LO, {**OUTSIDE, "mtu": 1400}, INSIDE, ROUTE), "ve-guest has mtu 1400"),
        ((LO, OUTSIDE, {**INSIDE, "mtu": 1400}, ROUTE), "eth0 inside has mtu 1400"),
        ((LO, OUTSIDE, None, ROUTE), "eth0 inside is absent"),
        ((LO, OUTSIDE, {**INSIDE, "flags": []}, ROUTE), "eth0 inside is down"),
        ((LO, OUTSIDE, {**INSIDE, "addr_info": []}, ROUTE), "10.0.0.250/24 is not on eth0"),
        (
            (
                LO,
                OUTSIDE,
                {**INSIDE, "addr_info": [{"local": "10.0.0.25", "prefixlen": 24}]},
                ROUTE,
            ),
            "10.0.0.250/24 is not on eth0, but 10.0.0.25/24",
        ),
        ((LO, OUTSIDE, INSIDE, None), "its default route is absent"),
    ],
)
def test_what_differs_is_named(shown: tuple[Any, ...], reason: str) -> None:
    assert difference(*shown) == reason


def test_ipv6_that_is_on_is_named() -> None:
    assert difference(LO, OUTSIDE, INSIDE, ROUTE, ipv6_off="0") == "has IPv6 on"


def test_its_commands_are_those_of_day_1_without_marks() -> None:
    assert "ip link add name ve-guest type veth peer name eth0 netns guest" in GUEST.commands
    assert not [command for command in GUEST.commands if "alias" in command or "group" in command]


def test_its_names_must_be_free() -> None:
    assert GUEST.claims == ("/run/netns/guest", "/sys/class/net/ve-guest")
