"""What a student set up to observe a link is judged by what tc, iptables and tshark print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from twinstack.course.observing_steps import Capture, LoggedConnections, Mirror, SwitchedOn

MIRROR = Mirror("ve-order", "ve-observer")
LOGGED = LoggedConnections("redis-cache", 6379, 40)
CAPTURE = Capture(
    *("/run/c.pcapng", "observer", "eth0", "http://10.0.0.10/", "day-4"),
    *("10.0.0.20", "10.0.0.40", 5000),
)
RULE = (
    "-A INPUT -p tcp -m tcp --dport 6379 --tcp-flags FIN,SYN,RST,ACK SYN -j NFLOG --nflog-group 40"
)


def a_filter(to: str = "ve-observer", **changed: Any) -> dict[str, Any]:
    """Give a filter as `tc -j` prints it."""
    action = {"kind": "mirred", "mirred_action": "mirror", "direction": "egress", "to_dev": to}
    options = {"match": {"value": "0", "mask": "0"}, "actions": [action]}
    return {"protocol": "all", "kind": "u32", "options": options, **changed}


def mirrored(ingress: list[dict[str, Any]], egress: list[dict[str, Any]]) -> Mapping[str, str]:
    return dict(zip(MIRROR.looks, map(json.dumps, (ingress, egress)), strict=True))


def test_a_mirror_of_both_directions_is_done() -> None:
    assert MIRROR.difference(mirrored([a_filter()], [a_filter()])) is None


def test_a_filter_by_matchall_takes_every_frame() -> None:
    whole = a_filter(kind="matchall")
    assert MIRROR.difference(mirrored([whole], [whole])) is None


@pytest.mark.parametrize(
    ("ingress", "egress", "reason"),
    [
        ([], [], "ingress of ve-order is not mirrored"),
        ([a_filter()], [], "egress of ve-order is not mirrored"),
        ([a_filter("ve-other")], [a_filter()], "ingress of ve-order is mirrored to ve-other"),
        (
            [a_filter()],
            [a_filter(protocol="ip")],
            "the filter on egress of ve-order does not take every frame",
        ),
        (
            [a_filter(options={"actions": a_filter()["options"]["actions"]})],
            [a_filter()],
            "the filter on ingress of ve-order does not take every frame",
        ),
    ],
)
def test_a_mirror_that_is_not_whole_says_how(
    ingress: list[dict[str, Any]], egress: list[dict[str, Any]], reason: str
) -> None:
    assert MIRROR.difference(mirrored(ingress, egress)) == reason


def test_frames_that_are_sent_elsewhere_are_not_mirrored() -> None:
    sent = a_filter()
    sent["options"]["actions"][0]["mirred_action"] = "redirect"
    assert (
        MIRROR.difference(mirrored([sent], [a_filter()])) == "ingress of ve-order is not mirrored"
    )


def logged(*rules: str) -> Mapping[str, str]:
    return {LOGGED.looks[0]: "\n".join(["*filter", ":INPUT ACCEPT [0:0]", *rules, "COMMIT"])}


def test_a_rule_that_logs_first_packets_is_done() -> None:
    assert LOGGED.difference(logged("-A INPUT -j ACCEPT", RULE)) is None


@pytest.mark.parametrize(
    ("was", "becomes", "reason"),
    [
        ("NFLOG --nflog-group 40", "LOG", "no rule there has the target NFLOG"),
        ("INPUT", "FORWARD", "the rule is not in INPUT"),
        ("6379", "6380", "the rule does not name port 6379"),
        (" --tcp-flags FIN,SYN,RST,ACK SYN", "", "the rule does not take the first packet alone"),
        ("group 40", "group 4", "the rule does not go to group 40"),
        ("-p tcp -m tcp", "-p udp -m udp", "the rule does not name tcp"),
    ],
)
def test_a_rule_that_logs_something_else_says_what(was: str, becomes: str, reason: str) -> None:
    found = LOGGED.difference(logged(RULE.replace(was, becomes)))
    assert found is not None
    assert found.startswith(reason)


def captured(packets: str, magic: str = " 0a 0d 0d 0a") -> Mapping[str, str]:
    return dict(zip(CAPTURE.looks, (packets, magic), strict=True))


def test_a_capture_with_the_request_on_its_way_is_done() -> None:
    seen = "10.0.0.20\t10.0.0.40\t5000\n10.0.0.40\t10.0.0.20\t47884\n"
    assert CAPTURE.difference(captured(seen)) is None


def test_a_capture_without_it_says_what_it_holds() -> None:
    assert CAPTURE.difference(captured("", "")) == "is absent"
    assert CAPTURE.difference(captured("")) == "holds no request with the id day-4"
    elsewhere = "has the request elsewhere (10.0.0.1 → 10.0.0.10), not 10.0.0.20 → 10.0.0.40"
    assert CAPTURE.difference(captured("10.0.0.1\t10.0.0.10\t80\n")) == elsewhere


def test_a_switch_is_judged_by_its_value_and_keeps_its_former_one() -> None:
    switch = SwitchedOn("net.netfilter.nf_conntrack_acct")
    (look,) = switch.looks
    values = ("1\n", "0\n", "")
    assert [switch.difference({look: text}) for text in values] == [None, "is 0", "is absent"]
    assert switch.sysctls == (switch.key,)


def test_names_of_the_plan_are_in_its_commands() -> None:
    other = replace(MIRROR, link="ve-product")
    assert all(" ve-product " in command + " " for command in (*other.commands, *other.looks))
