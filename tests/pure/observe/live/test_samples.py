"""Samples and events are made of readings: rates, shares, what died and who is passed over."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pytest
from rich.console import Console

from tests.support.bench_fakes import PLAN
from twinstack.observe.live import answers as read
from twinstack.observe.live import events, samples, table
from twinstack.observe.live.documents import WorldSample
from twinstack.observe.live.readings import (
    Count,
    GatewayCounts,
    Health,
    Lease,
    Reading,
    Said,
    Tally,
    Told,
    Upstream,
    Usage,
)

NAMES = [one.name for one in PLAN.replicas]


def counts(
    answers: dict[str, int], busy_s: float = 0.0, failed: int = 0, shunned: tuple[str, ...] = ()
) -> GatewayCounts:
    found = read.gateway(
        json.dumps(
            {
                "statuses": {
                    "1xx": 0,
                    "2xx": sum(answers.values()),
                    "3xx": 0,
                    "4xx": 0,
                    "5xx": failed,
                },
                "busy_s": busy_s,
                "upstreams": [
                    {
                        "service": "product-service",
                        "instance": name,
                        "answers": number,
                        "failures": 0,
                        "busy_s": busy_s / 2,
                        "shunned": name in shunned,
                    }
                    for name, number in answers.items()
                ],
            }
        ).encode()
    )
    assert found is not None
    return found


def reading(at_s: float, **more: Any) -> Reading:
    pids = more.pop("pids", {name: 100 + place for place, name in enumerate(NAMES)})
    said = {name: Said("up", "", 1.0) for name in NAMES} | more.pop("said", {})
    return Reading(at_s=at_s, pids=pids, said=said, **more)


def test_rates_are_those_of_the_time_between_the_answers():
    before = reading(
        10.0,
        edges={"nginx-lb": Count(10.1, 100, 1_000)},
        gateways={"api-gateway": Told(10.2, 101, counts({"product-service": 500}, 1.0))},
    )
    now = reading(
        11.0,
        edges={"nginx-lb": Count(11.35, 100, 2_000)},
        gateways={"api-gateway": Told(11.2, 101, counts({"product-service": 900}, 3.0, 20))},
    )
    found = samples.sample("net", PLAN, 0.0, [before, now])
    assert found.rate == pytest.approx(800)  # in 1.25 s, not in 1.0
    assert found.total == 2_000
    assert found.mean_ms == pytest.approx(2.0 * 1000 / 420)  # 20 of them failed
    assert found.failed_per_s == pytest.approx(20)
    into = {one.destination: one for one in found.edges}
    assert into["product-service"].rate == pytest.approx(400)
    assert into["product-service"].mean_ms == pytest.approx(2.5)


def asks(at_s: float, pid: int, **sums: tuple[int, int, float]) -> Told[tuple[Tally, ...]]:
    return Told(at_s, pid, tuple(Tally(name.replace("_", "-"), *one) for name, one in sums.items()))


def test_what_goes_into_a_store_is_added_up_over_whoever_asks():
    def at(second: float, of_product: Told[Any], of_order: Told[Any]) -> Reading:
        both = {"product-service": of_product, "order-service": of_order}
        return reading(second, asked=both)

    before = at(1.0, asks(1.0, 102, redis=(100, 0, 1.0)), asks(1.0, 105, postgres=(7, 0, 0.1)))
    now = at(
        2.0,
        asks(2.0, 102, redis=(400, 0, 1.3), postgres=(2, 1, 0.6)),
        asks(3.0, 105, redis=(200, 0, 1.0), postgres=(7, 0, 0.1), product_service_2=(10, 0, 0.02)),
    )
    found = samples.sample("net", PLAN, 0.0, [before, now])
    edges = {(one.source, one.destination): one for one in found.edges}
    assert edges["product-service", "redis-cache"].rate == pytest.approx(300)
    assert edges["product-service", "postgres-db"].failures_per_s == pytest.approx(1)
    assert edges["product-service", "postgres-db"].rate == pytest.approx(3)  # in vain or not
    assert edges["order-service", "product-service-2"].mean_ms == pytest.approx(2.0)
    assert edges["order-service", "postgres-db"].rate == 0
    told = [asdict(one) for one in found.edges]
    rate, mean_ms = table.into(told, "redis-cache")
    assert rate == pytest.approx(300 + 100)
    assert mean_ms == pytest.approx((300 * 1.0 + 100 * 5.0) / 400)
    assert table.into(told, "service-registry") == (None, None)


def test_what_another_process_asked_is_not_compared():
    before = reading(1.0, asked={"order-service": asks(1.0, 105, redis=(900, 0, 9.0))})
    now = reading(2.0, asked={"order-service": asks(2.0, 106, redis=(1, 0, 0.1))})
    edges = samples.sample("net", PLAN, 0.0, [before, now]).edges
    assert not [one for one in edges if one.destination == "redis-cache"]


def test_what_another_worker_counted_gives_no_rate():
    """Two workers have one main process: who of them answers is chance."""

    def at(second: float, answers: int, **more: Any) -> Reading:
        told = Told(second, 101, counts({"product-service": answers}, answers / 1_000, answers))
        asked = {"order-service": asks(second, 105, redis=(answers, answers, answers / 1_000))}
        return reading(
            second,
            gateways={"api-gateway": told},
            asked=asked,
            edges={"nginx-lb": Count(second, 100, answers)},
            **more,
        )

    found = samples.sample("net", PLAN, 0.0, [at(1.0, 5_000), at(2.0, 40)])
    shown = [
        one
        for one in found.edges
        if one.source in {"nginx-lb", "api-gateway", "world", "order-service"}
    ]
    assert {(one.source, one.destination) for one in shown} >= {
        ("world", "nginx-lb"),
        ("nginx-lb", "api-gateway"),
        ("api-gateway", "product-service"),
        ("order-service", "redis-cache"),
    }
    assert {(one.rate, one.mean_ms, one.failures_per_s) for one in shown} == {(None, None, None)}
    assert (found.rate, found.mean_ms, found.failed_per_s) == (None, None, None)
    assert found.balance == ()
    again = samples.sample("net", PLAN, 0.0, [at(1.0, 5_000), at(2.0, 40), at(3.0, 60)])
    assert again.rate == pytest.approx(20)
    assert again.failed_per_s == pytest.approx(20)


def test_an_instance_that_came_back_is_counted_from_nothing():
    def at(second: float, product: int) -> Reading:
        answers = {"product-service": product, "product-service-2": round(100 * second)}
        return reading(second, gateways={"api-gateway": Told(second, 101, counts(answers))})

    found = samples.sample("net", PLAN, 0.0, [at(1.0, 50), at(2.0, 7)])
    rates = {one.destination: one.rate for one in found.edges if one.source == "api-gateway"}
    assert rates["product-service"] == pytest.approx(7)
    assert rates["product-service-2"] == pytest.approx(100)


def test_a_rate_is_of_requests_in_vain_or_not_whoever_counts():
    def at(second: float, upstream: Tally) -> Reading:
        told = GatewayCounts(Tally("", 9, 0, 1.0), (Upstream("product-service", upstream, False),))
        both = {"order-service": Told(second, 105, (upstream,))}
        return reading(second, gateways={"api-gateway": Told(second, 101, told)}, asked=both)

    readings = [
        at(1.0, Tally("product-service", 0, 0, 0.0)),
        at(2.0, Tally("product-service", 3, 1, 0.6)),
    ]
    found = [
        one
        for one in samples.sample("net", PLAN, 0.0, readings).edges
        if one.destination == "product-service"
    ]
    assert [(one.source, one.rate, one.failures_per_s) for one in found] == [
        ("api-gateway", 4, 1),
        ("order-service", 4, 1),
    ]
    # The gateway takes the time of its answers alone.
    assert [one.mean_ms for one in found] == pytest.approx([200, 150])


def test_counters_of_another_process_are_not_compared():
    before = reading(1.0, edges={"nginx-lb": Count(1.0, 7, 900)})
    now = reading(2.0, edges={"nginx-lb": Count(2.0, 8, 5)})
    assert samples.sample("net", PLAN, 0.0, [before, now]).rate is None


def test_a_late_answer_leaves_the_rate_before_it_standing():
    def at(second: float, count: Count) -> Reading:
        return reading(second, edges={"nginx-lb": count})

    first, second = Count(1.0, 7, 100), Count(2.0, 7, 300)
    late = [at(1.0, first), at(2.0, second), at(3.0, second)]
    assert samples.sample("net", PLAN, 0.0, late).rate == pytest.approx(200)
    later = [*late, at(4.0, Count(4.0, 7, 400))]  # of the two seconds since
    assert samples.sample("net", PLAN, 0.0, later).rate == pytest.approx(50)


def test_usage_is_told_against_limits_and_not_across_a_restart():
    used = Usage(1.0, 1_000_000, 0, 50, 100, 200, 1.0, 64_000_000)
    later = Usage(2.0, 1_250_000, 100_000, 60, 1_100, 200, 1.0, 64_000_000)
    name = NAMES[0]
    pair = [reading(1.0, usage={name: used}), reading(2.0, usage={name: later})]
    found = samples.sample("net", PLAN, 0.0, pair).replicas[0]
    assert (found.cpus, found.throttled, found.in_bytes_per_s) == pytest.approx((0.25, 0.1, 1_000))
    assert (found.memory_bytes, found.memory_limit, found.cpu_limit) == (60, 64_000_000, 1.0)
    pids = dict.fromkeys(NAMES, 900)
    again = [pair[0], reading(2.0, usage={name: later}, pids=pids)]
    assert samples.sample("net", PLAN, 0.0, again).replicas[0].cpus is None


def test_balance_is_each_replicas_part_over_ten_seconds():
    names = ("product-service", "product-service-2")
    readings = [
        reading(
            float(second),
            gateways={
                "api-gateway": Told(
                    float(second),
                    101,
                    counts(dict(zip(names, (30 * second, 10 * second), strict=True))),
                )
            },
        )
        for second in range(30)
    ]
    found = samples.sample("net", PLAN, 0.0, readings).balance
    assert [(one.instance, one.part, one.rate) for one in found] == [
        ("product-service", 0.75, 30.0),
        ("product-service-2", 0.25, 10.0),
    ]


def test_a_first_sample_has_states_and_no_rates():
    found = samples.sample("net", PLAN, 0.0, [reading(1.0)])
    assert found.up
    assert {one.state for one in found.replicas} == {"up"}
    assert found.rate is None
    assert found.balance == ()
    assert found.registry is None


def told(before: Reading, now: Reading) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.replica, one.good) for one in events.events(PLAN, 0.0, before, now)]


def test_a_death_and_a_return_are_told():
    name = "redis-cache"
    without = {one: pid for one, pid in reading(0.0).pids.items() if one != name}
    dead = reading(2.0, pids=without, said={name: Said("down", "gone")})
    assert told(reading(1.0), dead) == [("death", name, False)]
    back = reading(3.0, pids={**without, name: 999})
    assert told(dead, back) == [("restart", name, True), ("well", name, True)]
    assert told(reading(1.0), reading(1.0)) == []


@pytest.mark.parametrize(
    ("health", "expected"),
    [("down", ("ill", False)), ("degraded", ("ill", False)), ("up", None)],
)
def test_a_living_process_that_is_ill_is_told(health: Health, expected: tuple[str, bool] | None):
    ill = reading(2.0, said={"order-service": Said(health, "postgres away")})
    found = [(kind, good) for kind, _, good in told(reading(1.0), ill)]
    assert found == ([expected] if expected else [])


def test_an_ejection_and_a_lost_lease_are_told():
    def at(second: float, shunned: tuple[str, ...], *instances: str) -> Reading:
        registry = tuple(Lease("product-service", one, "10.0.0.30", 5000, 9.0) for one in instances)
        document = counts({"product-service-2": 1}, shunned=shunned)
        return reading(
            second,
            gateways={"api-gateway": Told(second, 1, document)},
            registry=Told(second, 1, registry),
        )

    fine, gone = at(1.0, (), "a", "b"), at(2.0, ("product-service-2",), "a")
    assert told(fine, gone) == [("ejected", "product-service-2", False), ("left", "b", False)]
    assert told(gone, fine) == [("readmitted", "product-service-2", True), ("joined", "b", True)]


def test_the_terminal_says_each_replica_in_a_line_of_80_columns():
    stuck = "redis down: TimeoutError: Timeout reading from redis-cache:6379, and so on and on"
    ill = reading(
        2.0,
        said={
            "redis-cache": Said("down", "no answer within 2 s"),
            "product-service-2": Said("degraded", stuck, 4.0),
        },
    )
    documents = [
        asdict(samples.sample("net", PLAN, 0.0, [reading(1.0), ill])),
        asdict(WorldSample("docker", 0.0, False)),
    ]
    text = table.text(documents, 80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.count("● up") == len(NAMES) - 2
    assert re.search(r"^redis-cache +■ down", text, re.M)
    assert "■ redis-cache: no answer within 2 s\n" in text
    # what is ill is told at length, and still nothing of the figures is cut off
    assert re.search(r"^service +state +req/s +mean +probe +CPU +memory +of limit$", text, re.M)
    assert re.search(r"^product-service-2 +▲ degraded .* 4\.0 ms ", text, re.M)
    assert f"▲ product-service-2: {stuck[:50]}" in text
    assert 'docker is not up; run "invoke docker.up"' in text


def test_no_word_of_a_service_orders_the_terminal():
    evil = "\x1b]0;pwned\x07\x9b2J" * 20
    ill = reading(2.0, said={"redis-cache": Said("down", evil)})
    documents = [
        asdict(samples.sample("net", PLAN, 0.0, [reading(1.0), ill])),
        asdict(WorldSample("docker", 0.0, False, trouble=evil)),
    ]
    event = {"at": 0.0, "world": "net", "replica": evil, "text": evil, "good": False}
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(table.picture(documents, [event]))
    told = capture.get()
    assert all(letter.isprintable() or letter == "\n" for letter in told)
    assert told.count("\\x1b]0;pwned\\x07") > 3
    assert max(len(line) for line in table.text(documents[:1], 80).splitlines()) <= 80


@pytest.mark.parametrize(("height", "told"), [(24, 0), (26, 2), (22, 0), (60, 6)])
def test_what_happened_takes_no_services_line(height: int, told: int):
    whole = asdict(samples.sample("net", PLAN, 0.0, [reading(1.0), reading(2.0)]))
    happened = [
        {"at": 0.0, "world": "net", "replica": f"r{n}", "text": "t", "good": False}
        for n in range(9)
    ]
    console = Console(width=80, height=height, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(table.fitting(console, [whole, whole], happened))
    lines = capture.get().splitlines()
    assert len([one for one in lines if "net r" in one]) == told
    assert capture.get().count("postgres-db") == 2
    assert len(lines) <= max(height, 23)
