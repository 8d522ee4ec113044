"""A flow is one line that keeps its names at any width, and one JSON document."""

from __future__ import annotations

from tests.support.connection_cases import PLAN
from twinstack.observe.flows.flow import FlowEnd, ObservedFlow
from twinstack.observe.flows.text import document, line, name_width

NOON = 1_764_417_600.25  # 2025-11-29T12:00:00.250Z
FLOW = ObservedFlow(
    NOON,
    "net",
    FlowEnd("product-service-2", "product-service", "10.0.0.31"),
    FlowEnd("redis-cache", "redis-cache", "10.0.0.50"),
    "tcp",
    6379,
    "allowed",
    "flow from product-service to redis-cache",
    1234,
)


def test_a_line_has_time_world_ends_port_verdict_bytes_and_rule() -> None:
    assert line(FLOW, NOON, 17, None).split() == [
        *("12:00:00.250", "net", "product-service-2", "→", "redis-cache", "tcp/6379", "allowed"),
        *("1234", "B", "flow", "from", "product-service", "to", "redis-cache"),
    ]


def test_a_narrow_terminal_cuts_the_rule_and_never_a_name() -> None:
    for width in (20, 60, 80, 100):
        shown = line(FLOW, NOON, 17, width)
        assert "product-service-2 → redis-cache" in shown
        assert "allowed" in shown[:-1] + "d"
        assert len(shown) <= max(width, 84)


def test_an_older_moment_is_shown_by_its_date_in_the_same_width() -> None:
    ends = {line(FLOW, NOON + days * 86_400, 17, None).index("net") for days in (0, 1, 400)}
    assert len(ends) == 1
    assert line(FLOW, NOON + 86_400, 17, None).startswith("2025-11-29 ")


def test_names_are_as_wide_as_the_plans_longest() -> None:
    assert name_width([PLAN]) == len("product-service-2")


def test_a_document_has_the_moment_that_since_takes() -> None:
    assert document(FLOW).time == "2025-11-29T12:00:00.250Z"
    assert document(FLOW).bytes == 1234
