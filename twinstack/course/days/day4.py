"""Day 4: a place to look from: counters, a mirror, a rule that logs, a capture."""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.course.guest_step import Guest
from twinstack.course.lesson import Lesson, Part
from twinstack.course.observing_steps import Capture, LoggedConnections, Mirror, SwitchedOn
from twinstack.model.plan import Plan
from twinstack.state.paths import InstancePaths

_OBSERVER, _END = "observer", "ve-observer"
_SERVICE, _REQUEST = "order-service", "day-4"


def _counters(_: Plan) -> Iterator[SwitchedOn]:
    yield SwitchedOn("net.netfilter.nf_conntrack_acct")


def _times(_: Plan) -> Iterator[SwitchedOn]:
    yield SwitchedOn("net.netfilter.nf_conntrack_timestamp")


def _observer(plan: Plan) -> Iterator[Guest]:
    segment = plan.segment(plan.replica(_SERVICE).segment)
    address = f"{segment.subnet.network_address + 250}/{segment.subnet.prefixlen}"
    yield Guest(_OBSERVER, _END, segment.bridge, address, segment.gateway)


def _mirror(plan: Plan) -> Iterator[Mirror]:
    yield Mirror(plan.replica(_SERVICE).host_link, _END)


def _log_rule(plan: Plan) -> Iterator[LoggedConnections]:
    store = plan.replica("redis-cache")
    yield LoggedConnections(store.name, store.port, group=40)


def _capture(plan: Plan) -> Iterator[Capture]:
    client, server = plan.replica("api-gateway"), plan.replica(_SERVICE)
    yield Capture(
        str(InstancePaths(plan.instance).run / f"{_REQUEST}.pcapng"),
        _OBSERVER,
        "eth0",
        f"http://{plan.replica('nginx-lb').address}/api/cart",
        _REQUEST,
        str(client.address),
        str(server.address),
        server.port,
    )


DAY = Lesson(
    day=4,
    title="Observing",
    services=True,
    parts=(
        Part("connections are counted", own=_counters),
        Part("connections have times", own=_times),
        Part("a place to look from", own=_observer),
        Part("a mirror of order-service's link", own=_mirror),
        Part("a rule that logs who asks Redis", own=_log_rule),
        Part("a capture of one request", own=_capture),
        Part(
            "who asks",
            question="Ask http://localhost:8080/health. From which address does nginx-lb see it?",
            answer=(
                "curl -s -o /dev/null http://localhost:8080/health;"
                " conntrack -L -p tcp --orig-port-dst 8080 2> /dev/null"
                " | sed -n 's/.* src={nginx-lb.address} dst=\\([^ ]*\\) .*/\\1/p' | sort -u"
            ),
        ),
        Part(
            "whose frames",
            question="Which MAC address do the frames that order-service sends come from?",
            answer="ip -n order-service -br link show dev eth0 | awk '{{print $3}}'",
        ),
    ),
)
