"""A replica's policy is the present rules that its connections may meet, with their counters."""

from __future__ import annotations

import pytest

from tests.support.core_cases import edited_plan
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.detail.rules import policy_of
from twinstack.policy.chains import chains

PLAN = edited_plan(lambda _: None)


def saved(plan: Plan, world: WorldName, *, without: str = "\0") -> str:
    """Write what iptables-save -c prints; the nth rule has counted n packets."""
    lines = [
        f"-A {chain.name} {rule.text}" for chain in chains(plan, world) for rule in chain.rules
    ]
    counted = [f"[{n}:{60 * n}] {text}" for n, text in enumerate(lines, 1) if without not in text]
    return "\n".join(["*filter", ":FORWARD ACCEPT [0:0]", *counted, "COMMIT"])


def sentences(world: WorldName, name: str, way: str) -> list[str]:
    found = policy_of(PLAN, world, PLAN.replica(name), saved(PLAN, world))
    assert found.enforced
    flows = [rule.sentence for rule in found.rules if rule.way == way]
    return [sentence for sentence in dict.fromkeys(flows) if " may connect to " in sentence]


@pytest.mark.parametrize("world", ["net", "docker"])
def test_the_declared_flows_of_a_replica_are_its_rules(world: WorldName):
    assert sentences(world, "order-service", "in") == [
        "api-gateway may connect to order-service on tcp port 5000 (flows)"
    ]
    assert {
        text.split(" may connect to ")[1].split()[0]
        for text in sentences(world, "order-service", "out")
    } == {"product-service", "service-registry", "redis-cache", "postgres-db"}
    assert len(sentences(world, "redis-cache", "in")) == 2
    assert sentences(world, "redis-cache", "out") == []


def test_counters_are_the_kernels_and_a_rule_that_is_gone_is_missing():
    gone = "product-service-2 to redis-cache"
    text = saved(PLAN, "net", without=gone)
    rules = policy_of(PLAN, "net", PLAN.replica("product-service-2"), text).rules
    missing = [rule for rule in rules if rule.packets is None]
    assert [rule.rule for rule in missing] == [
        "-A TS-main-TO-redis-cache -s 10.0.0.31/32 -j ACCEPT"
    ]
    for rule in rules:
        if rule.packets is not None:
            match, _, target = rule.rule.rpartition("-j ")
            line = next(
                line
                for line in text.splitlines()
                if f"] {match}" in line and f"-j {target}" in line
            )
            assert line.startswith(f"[{rule.packets}:{rule.bytes}] ")


def test_the_edge_has_its_limits_and_egress_its_ports():
    found = policy_of(PLAN, "net", PLAN.replica("nginx-lb"), saved(PLAN, "net"))
    texts = [(rule.way, rule.sentence) for rule in found.rules]
    assert any(way == "in" and "connections a second" in text for way, text in texts)
    out = policy_of(PLAN, "net", PLAN.replica("order-service"), saved(PLAN, "net"))
    assert any(rule.way == "out" and "(egress)" in rule.sentence for rule in out.rules)
    assert [rule.way for rule in out.rules] == sorted(rule.way for rule in out.rules)
    assert found.denied > 0


def test_a_policy_that_is_off_has_no_rules():
    for text in ("", "*filter\n:FORWARD ACCEPT [0:0]\n[3:9] -A FORWARD -j ACCEPT\nCOMMIT\n"):
        found = policy_of(PLAN, "net", PLAN.replica("nginx-lb"), text)
        assert (found.enforced, found.rules) == (False, ())


def test_the_rules_of_a_service_that_hundreds_may_ask_are_bounded():
    plan = edited_plan(lambda d: d["services"]["product-service"].update(replicas=90))
    found = policy_of(plan, "net", plan.replica("redis-cache"), saved(plan, "net"))
    assert len(found.rules) == 60
    assert found.left_out >= 30
