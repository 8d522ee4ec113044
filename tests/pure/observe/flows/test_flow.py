"""Flows have the plan's names, what declares or denies them, and the time of their last packet."""

from __future__ import annotations

import pytest

from tests.support import craft
from tests.support.connection_cases import PLAN, raw
from twinstack.errors import WrongUse
from twinstack.linux.conntrack import ConntrackEntry, ConntrackTuple
from twinstack.linux.nflog import DeniedPacket
from twinstack.model.topology import WorldName
from twinstack.observe.flows.flow import FlowFilter, WorldFlows, check_end, last_packet, latest
from twinstack.policy.chains import nflog_prefix

TCP, UDP, ICMP = 6, 17, 1
TIMEOUTS = {"ESTABLISHED": 432_000, "TIME_WAIT": 120, "unacknowledged": 300, "REPLIED": 30}


def entry(
    source: str,
    to: str,
    port: int,
    *,
    becomes: str = "",
    new_port: int = 0,
    protocol: int = TCP,
    state: str = "ESTABLISHED",
) -> ConntrackEntry:
    original = ConntrackTuple(raw(source), raw(to), 40_000, port)
    reply = ConntrackTuple(raw(becomes or to), raw(source), new_port or port, 40_000)
    return ConntrackEntry(protocol, original, reply, state)


def flows(world: WorldName = "net") -> WorldFlows:
    return WorldFlows(PLAN, world)


def denied(source: str, to: str, port: int, protocol: str = "tcp") -> DeniedPacket:
    return DeniedPacket(nflog_prefix(PLAN, "net"), source, to, protocol, port)


@pytest.mark.parametrize(
    ("tracked", "names", "rule"),
    [
        (
            entry(craft.NGINX, craft.GATEWAY, 3000),
            ("nginx-lb", "api-gateway"),
            "flow from nginx-lb to api-gateway",
        ),
        (
            entry("10.0.0.31", "10.0.0.50", 6379),
            ("product-service-2", "redis-cache"),
            "flow from product-service to redis-cache",
        ),
        (
            entry(craft.CLIENT, craft.HOST, 8080, becomes=craft.NGINX, new_port=80),
            (craft.CLIENT, "nginx-lb"),
            "flow from world to nginx-lb",
        ),
        (
            entry(craft.ORDER, craft.CLIENT, 443),
            ("order-service", craft.CLIENT),
            "egress of order-service",
        ),
        (entry(craft.NGINX, "10.0.0.50", 6379), ("nginx-lb", "redis-cache"), "no flow"),
    ],
)
def test_a_connection_has_the_plans_names_and_what_declares_it(
    tracked: ConntrackEntry, names: tuple[str, str], rule: str
) -> None:
    flow = flows().allowed(tracked, 5.0, 77)
    assert flow is not None
    assert ((flow.source.name, flow.destination.name), flow.rule) == (names, rule)
    assert (flow.verdict, flow.time, flow.transferred) == ("allowed", 5.0, 77)


def test_a_stranger_is_its_address_and_the_host_is_host() -> None:
    flow = flows().allowed(entry("127.0.0.1", "127.0.0.1", 8080, becomes=craft.NGINX), 1.0)
    assert flow is not None
    assert (flow.source.name, flow.source.service, flow.source.address) == (
        *("host", "host"),
        "127.0.0.1",
    )
    flow = flows().allowed(entry(craft.CLIENT, craft.NGINX, 80), 1.0)
    assert flow is not None
    assert (flow.source.name, flow.source.service) == (craft.CLIENT, "outside")


def test_connections_of_neither_end_are_none_of_the_worlds() -> None:
    assert flows().allowed(entry("192.0.2.1", "192.0.2.2", 80), 1.0) is None
    assert flows("docker").allowed(entry(craft.NGINX, craft.GATEWAY, 3000), 1.0) is None


def test_a_denied_packet_names_the_chain_and_why() -> None:
    flow = flows().dropped(denied(craft.NGINX, "10.0.0.50", 6379), 2.0)
    assert flow is not None
    assert (flow.source.name, flow.destination.name, flow.protocol, flow.port) == (
        *("nginx-lb", "redis-cache"),
        *("tcp", 6379),
    )
    assert (flow.verdict, flow.rule) == ("dropped", "TS-main-DENY: no flow")
    flow = flows().dropped(denied(craft.CLIENT, craft.NGINX, 80), 2.0)
    assert flow is not None
    assert flow.rule == (
        "TS-main-DENY: past a limit, or of no connection: flow from world to nginx-lb"
    )


def test_a_packet_that_another_world_denied_is_left_out() -> None:
    assert flows("docker").dropped(denied(craft.NGINX, "10.0.0.50", 6379), 2.0) is None


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        (FlowFilter(), True),
        (FlowFilter(source="product-service"), True),
        (FlowFilter(source="product-service-2"), True),
        (FlowFilter(source="product-service-3"), False),
        (FlowFilter(source="10.0.0.31"), True),
        (FlowFilter(destination="redis-cache", port=6379), True),
        (FlowFilter(destination="product-service"), False),
        (FlowFilter(port=80), False),
        (FlowFilter(verdict="allowed"), True),
        (FlowFilter(verdict="dropped"), False),
        (FlowFilter(since=9.0), True),
        (FlowFilter(since=11.0), False),
    ],
)
def test_flows_are_chosen_by_end_port_verdict_and_time(chosen: FlowFilter, shown: bool) -> None:
    flow = flows().allowed(entry("10.0.0.31", "10.0.0.50", 6379), 10.0)
    assert flow is not None
    assert chosen.shows(flow) is shown


@pytest.mark.parametrize(
    ("state", "left_s", "protocol", "ago"),
    [
        ("TIME_WAIT", 110, TCP, 10),
        ("ESTABLISHED", 431_990, TCP, 10),
        ("ESTABLISHED", 290, TCP, 10),  # data is unacknowledged
        ("TIME_WAIT", 121, TCP, 0),
        ("UNREPLIED", 25, UDP, 5),
        ("REPLIED", 25, ICMP, None),
        ("state 11", 25, TCP, None),
    ],
)
def test_the_last_packet_was_when_the_timer_was_set(
    state: str, left_s: int, protocol: int, ago: float | None
) -> None:
    tracked = entry(craft.NGINX, craft.GATEWAY, 3000, state=state, protocol=protocol)
    expected = None if ago is None else 1_000_000 - ago
    assert last_packet(tracked, left_s, TIMEOUTS, 1_000_000) == expected


def test_the_latest_are_in_the_order_of_time_those_without_one_first() -> None:
    made = [
        flows().allowed(entry(craft.NGINX, craft.GATEWAY, 3000), time) for time in (3.0, None, 2.0)
    ]
    found = [flow for flow in made if flow]
    assert [flow.time for flow in latest(found, 9)] == [None, 2.0, 3.0]
    assert [flow.time for flow in latest(found, 1)] == [3.0]


def test_a_name_that_no_end_can_have_is_refused() -> None:
    for name in ("", "product-service", "product-service-2", "host", "outside", "192.0.2.1"):
        check_end(name, [PLAN])
    with pytest.raises(WrongUse, match=r"^nobody: is no end of a flow: there are api-gateway, "):
        check_end("nobody", [PLAN])
