"""Samples are made of readings: rates, means and shares of the time between two answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.bench_fakes import PLAN
from tests.support.readings import NAMES, at_gateway, calls, counts, reading
from twinstack.observe.live.answers import GatewayCounts, UpstreamCounts
from twinstack.observe.live.model import (
    Dated,
    EdgeSample,
    Reading,
    ReplicaSample,
    Usage,
    WorldSample,
)
from twinstack.observe.live.samples import mean_ms, sample, sum_known


def sample_of(*readings: Reading) -> WorldSample:
    return sample("net", PLAN, 0.0, readings)


def edges_of(*readings: Reading) -> dict[tuple[str, str], EdgeSample]:
    return {(edge.source, edge.destination): edge for edge in sample_of(*readings).edges}


def at_edge(at_s: float, counted: Dated[int]) -> Reading:
    return reading(at_s, requests={"nginx-lb": counted})


def test_rates_are_those_of_the_time_between_the_answers():
    before = at_gateway(
        10.2,
        counts({"product-service": 500}, 1.0),
        requests={"nginx-lb": Dated(10.1, 100, 1_000)},
    )
    now = at_gateway(
        11.2,
        counts({"product-service": 900}, 3.0, 20),
        requests={"nginx-lb": Dated(11.35, 100, 2_000)},
    )
    found = sample_of(before, now)
    assert found.rate == pytest.approx(800)  # in 1.25 s, not in 1.0
    assert found.total == 2_000
    assert found.mean_ms == pytest.approx(2.0 * 1000 / 420)  # 20 of them failed
    assert found.failed_per_s == pytest.approx(20)
    edge = edges_of(before, now)["api-gateway", "product-service"]
    assert edge.rate == pytest.approx(400)
    assert edge.mean_ms == pytest.approx(2.5)


def test_calls_are_counted_for_each_client_and_destination():
    def at(at_s: float, product: dict[str, Any], order_s: float, order: dict[str, Any]) -> Reading:
        both = {
            "product-service": calls(at_s, 102, **product),
            "order-service": calls(order_s, 105, **order),
        }
        return reading(at_s, dependencies=both)

    edges = edges_of(
        at(1.0, {"redis": (100, 0, 1.0)}, 1.0, {"postgres": (7, 0, 0.1)}),
        at(
            2.0,
            {"redis": (400, 0, 1.3), "postgres": (2, 1, 0.6)},
            3.0,
            {"postgres": (7, 0, 0.1), "product_service_2": (10, 0, 0.02)},
        ),
    )
    assert edges["product-service", "redis-cache"].rate == pytest.approx(300)
    assert edges["product-service", "postgres-db"].failures_per_s == pytest.approx(1)
    assert edges["product-service", "postgres-db"].rate == pytest.approx(3)  # failed ones too
    assert edges["order-service", "product-service-2"].mean_ms == pytest.approx(2.0)
    assert edges["order-service", "postgres-db"].rate == 0


def test_calls_of_another_process_are_not_compared():
    edges = edges_of(
        reading(1.0, dependencies={"order-service": calls(1.0, 105, redis=(900, 0, 9.0))}),
        reading(2.0, dependencies={"order-service": calls(2.0, 106, redis=(1, 0, 0.1))}),
    )
    assert ("order-service", "redis-cache") not in edges


def test_counts_of_another_worker_give_no_rate():
    """Two workers have one main process: which of them answers is chance."""

    def at(at_s: float, answers: int) -> Reading:
        return at_gateway(
            at_s,
            counts({"product-service": answers}, answers / 1_000, answers),
            dependencies={
                "order-service": calls(at_s, 105, redis=(answers, answers, answers / 1_000))
            },
            requests={"nginx-lb": Dated(at_s, 100, answers)},
        )

    found = sample_of(at(1.0, 5_000), at(2.0, 40))
    assert {(edge.source, edge.destination) for edge in found.edges} == {
        ("world", "nginx-lb"),
        ("nginx-lb", "api-gateway"),
        ("api-gateway", "product-service"),
        ("order-service", "redis-cache"),
    }
    figures = {(edge.rate, edge.mean_ms, edge.failures_per_s) for edge in found.edges}
    assert figures == {(None, None, None)}
    assert (found.rate, found.mean_ms, found.failed_per_s) == (None, None, None)
    assert found.balance == ()
    again = sample_of(at(1.0, 5_000), at(2.0, 40), at(3.0, 60))
    assert again.rate == pytest.approx(20)
    assert again.failed_per_s == pytest.approx(20)


def test_an_instance_that_came_back_is_counted_from_zero():
    def at(at_s: float, product: int) -> Reading:
        answers = {"product-service": product, "product-service-2": round(100 * at_s)}
        return at_gateway(at_s, counts(answers))

    edges = edges_of(at(1.0, 50), at(2.0, 7))
    assert edges["api-gateway", "product-service"].rate == pytest.approx(7)
    assert edges["api-gateway", "product-service-2"].rate == pytest.approx(100)


def test_a_rate_includes_failed_requests_whichever_client_counts():
    def at(at_s: float, answers: int, failures: int, busy_s: float) -> Reading:
        upstream = UpstreamCounts(
            service="product-service",
            instance="product-service",
            answers=answers,
            failures=failures,
            busy_s=busy_s,
            shunned=False,
        )
        gateway = GatewayCounts(statuses={"2xx": 9}, busy_s=1.0, upstreams=(upstream,))
        sums = (answers, failures, busy_s)
        dependencies = {"order-service": calls(at_s, 105, product_service=sums)}
        return at_gateway(at_s, gateway, dependencies=dependencies)

    edges = edges_of(at(1.0, 0, 0, 0.0), at(2.0, 3, 1, 0.6))
    gateway = edges["api-gateway", "product-service"]
    order = edges["order-service", "product-service"]
    assert (gateway.rate, gateway.failures_per_s) == (order.rate, order.failures_per_s) == (4, 1)
    # The gateway takes the time of its answers alone.
    assert [gateway.mean_ms, order.mean_ms] == pytest.approx([200, 150])


def test_requests_of_another_process_are_not_compared():
    found = sample_of(at_edge(1.0, Dated(1.0, 7, 900)), at_edge(2.0, Dated(2.0, 8, 5)))
    assert found.rate is None


def test_a_late_answer_leaves_the_rate_before_it_standing():
    first, second = Dated(1.0, 7, 100), Dated(2.0, 7, 300)
    late = [at_edge(1.0, first), at_edge(2.0, second), at_edge(3.0, second)]
    assert sample_of(*late).rate == pytest.approx(200)
    later = at_edge(4.0, Dated(4.0, 7, 400))  # of the two seconds since
    assert sample_of(*late, later).rate == pytest.approx(50)


USED = Usage(1.0, 1_000_000, 0, 50, 100, 200, 1.0, 64_000_000)
LATER = Usage(2.0, 1_250_000, 100_000, 60, 1_100, 200, 1.0, 64_000_000)


def used(readings: Sequence[tuple[float, Usage]], **fields: Any) -> ReplicaSample:
    """Sample the first replica; `fields` are of the last reading."""
    found = [reading(at_s, usage={NAMES[0]: usage}) for at_s, usage in readings]
    last = reading(readings[-1][0], usage={NAMES[0]: readings[-1][1]}, **fields)
    return sample_of(*found[:-1], last).replicas[0]


def test_usage_is_a_rate_beside_its_limits_and_not_across_a_restart():
    found = used([(1.0, USED), (2.0, LATER)])
    assert (found.cpus, found.throttled, found.in_bytes_per_s) == pytest.approx((0.25, 0.1, 1_000))
    assert (found.memory_bytes, found.memory_limit, found.cpu_limit) == (60, 64_000_000, 1.0)
    assert used([(1.0, USED), (2.0, LATER)], pids=dict.fromkeys(NAMES, 900)).cpus is None


def test_memory_that_was_not_read_is_unknown_and_not_zero():
    assert sample_of(reading(1.0)).memory_bytes is None
    assert sample_of(reading(1.0, usage={NAMES[0]: USED})).memory_bytes == 50


def test_usage_is_not_compared_over_a_moment_in_which_a_quota_seems_overdrawn():
    """A death adds a sample at once: two quotas of 100 ms within 50 ms are twice the limit."""
    burst = Usage(2.05, 1_350_000, 100_000, 60, 1_100, 200, 1.0, 64_000_000)
    assert used([(1.0, USED), (2.0, LATER), (2.05, burst)]).cpus == pytest.approx(0.35 / 1.05)
    assert used([(2.0, LATER), (2.05, burst)]).cpus is None


def test_balance_is_each_replicas_part_over_ten_seconds():
    names = ("product-service", "product-service-2")
    readings = [
        at_gateway(float(second), counts({names[0]: 30 * second, names[1]: 10 * second}))
        for second in range(30)
    ]
    found = sample_of(*readings).balance
    assert [(share.instance, share.part, share.rate) for share in found] == [
        ("product-service", 0.75, 30.0),
        ("product-service-2", 0.25, 10.0),
    ]


def test_a_first_sample_has_states_and_no_rates():
    found = sample_of(reading(1.0))
    assert found.up
    assert {replica.state for replica in found.replicas} == {"up"}
    assert found.rate is None
    assert found.balance == ()
    assert found.registry is None


def test_requests_to_a_replica_are_added_up_over_its_clients():
    edges = [
        EdgeSample("api-gateway", "redis-cache", 300.0, 1.0),
        EdgeSample("order-service", "redis-cache", 100.0, 5.0),
        EdgeSample("product-service", "redis-cache"),
    ]
    assert sum_known(edge.rate for edge in edges) == 400
    assert mean_ms(edges) == pytest.approx(2.0)
    unanswered = [EdgeSample("order-service", "postgres-db", 7.0)]
    assert (sum_known(edge.rate for edge in unanswered), mean_ms(unanswered)) == (7, None)
    assert (sum_known([]), mean_ms([])) == (None, None)
