"""What must be there for a plan in the Docker world, decided from facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.core_cases import WRITTEN, edited_plan
from tests.support.docker_facts import altered, endpoint, renewed, satisfied, step_names
from twinstack.compose import policy, steps
from twinstack.compose.facts import DockerFacts
from twinstack.model.plan import Plan
from twinstack.reconcile import diff


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_a_plan_that_is_there_needs_no_step(shape: str):
    plan = edited_plan(shape=shape)
    assert step_names(plan, satisfied(plan)) == []


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_every_step_of_an_empty_host_has_a_name_of_its_own_and_a_reason(shape: str):
    plan = edited_plan(shape=shape)
    facts = DockerFacts(stale=frozenset({"redis-cache"}))
    changes = diff(steps.steps(plan, facts), facts)
    assert len({change.step.name for change in changes}) == len(changes)
    assert all(change.reason for change in changes)
    kinds = {type(change.step) for change in changes}
    assert {*steps.BUILDING, *steps.COMPOSED} <= kinds | {steps.NetworkConnection}
    assert (steps.NetworkConnection in kinds) == (shape == "tiered")
    # All that is planned is to be done, but for removals of what is replaced.
    assert len(changes) == len(steps.steps(plan, DockerFacts()))


def test_a_container_that_is_gone_stopped_or_altered_is_the_only_one_touched():
    plan = edited_plan()
    facts = satisfied(plan)
    gone = replace(facts, containers=facts.containers[1:])
    name = facts.containers[0].replica
    assert step_names(plan, gone) == renewed(name)[1:]
    assert (
        step_names(plan, altered(facts, "redis-cache", state="exited"))
        == renewed("redis-cache")[2:]
    )
    alterations: tuple[dict[str, Any], ...] = (
        {"state": "paused"},
        {"digest": None},
        {"memory": 1},
        {"cpus": 1},
        {"pids": 0},
        {"image": "sha256:other"},
        {"endpoints": {}},
        {"endpoints": {"twinstack-main_app": endpoint("id-twinstack-main_app", "172.30.0.99")}},
        {"endpoints": {"twinstack-main_app": endpoint("id-of-a-former", "172.30.0.50")}},
    )
    for values in alterations:
        assert step_names(plan, altered(facts, "redis-cache", **values)) == renewed("redis-cache")


def test_a_container_that_has_not_been_started_yet_knows_no_network_and_is_only_started():
    plan = edited_plan()
    endpoints = {"twinstack-main_app": endpoint("", "172.30.0.50")}
    facts = altered(satisfied(plan), "redis-cache", state="created", endpoints=endpoints)
    assert step_names(plan, facts) == ["container twinstack-main-redis-cache: start"]


def test_what_a_recreation_that_was_cut_short_left_is_removed():
    plan = edited_plan()
    facts = satisfied(plan)
    odd = facts.containers[0].model_copy(update={"name": "0123_twinstack-main-nginx-lb"})
    assert step_names(plan, replace(facts, containers=(*facts.containers, odd))) == [
        "container 0123_twinstack-main-nginx-lb: remove"
    ]


def test_one_replica_more_or_less_touches_no_other_container():
    plan = edited_plan()

    def replicas(count: int) -> Plan:
        def edit(written: dict[str, Any]) -> None:
            service = written["services"]["product-service"]
            service["replicas"] = count
            service["addresses"] = WRITTEN["services"]["product-service"]["addresses"][:count]

        return edited_plan(edit)

    more, less = replicas(4), replicas(2)
    assert step_names(more, satisfied(plan)) == [
        "file docker-compose.yml: write",
        "policy rules: write",
        *renewed("product-service-4")[1:],
    ]
    assert step_names(less, satisfied(plan)) == [
        "container twinstack-main-product-service-3: remove",
        "file docker-compose.yml: write",
        "policy rules: write",
    ]


def test_another_limit_replaces_that_services_containers_alone():
    plan = edited_plan()
    other = edited_plan(lambda w: w["services"]["order-service"]["limits"].update(memory="256M"))
    assert step_names(other, satisfied(plan)) == [
        "container twinstack-main-order-service: remove",
        "file docker-compose.yml: write",
        *renewed("order-service")[1:],
    ]


def test_another_shape_replaces_every_container_and_network():
    tiered = edited_plan(shape="tiered")
    names = step_names(tiered, satisfied(edited_plan()))
    removed = [name for name in names if name.endswith(": remove")]
    assert len(removed) == len(tiered.replicas) + 1
    assert removed[-1] == "network twinstack-main_app: remove"


def test_a_network_that_differs_is_replaced_with_the_containers_on_it():
    plan = edited_plan(shape="tiered")
    facts = satisfied(plan)
    odd = tuple(
        network.model_copy(update={"subnet": "172.30.9.0/24"})
        if network.name.endswith("_frontend")
        else network
        for network in facts.networks
    )
    names = step_names(plan, replace(facts, networks=odd))
    assert names == [
        "container twinstack-main-nginx-lb: remove",
        "container twinstack-main-api-gateway: remove",
        "network twinstack-main_frontend: remove",
        "network twinstack-main_frontend: create",
        "container twinstack-main-nginx-lb: create",
        "container twinstack-main-api-gateway: create",
        "container twinstack-main-api-gateway to twinstack-main_frontend: attach",
        "policy bridges: write",
        "container twinstack-main-nginx-lb: start",
        "container twinstack-main-api-gateway: start",
    ]


def test_an_engine_that_connects_at_once_has_no_step_for_further_networks():
    plan = edited_plan(shape="tiered")
    names = step_names(plan, replace(satisfied(plan), containers=(), connects_later=False))
    assert not any(name.endswith(": attach") for name in names)


def test_new_secrets_replace_the_containers_that_hold_the_old_before_they_are_written():
    plan = edited_plan()
    names = step_names(plan, replace(satisfied(plan), stale=frozenset({"redis-cache"})))
    assert names == [renewed("redis-cache")[0], "secrets: write", *renewed("redis-cache")[1:]]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_the_policy_is_in_force_before_anything_runs(shape: str):
    names = step_names(
        edited_plan(shape=shape), DockerFacts(engine=True, rules=(":DOCKER-USER - [0:0]",))
    )
    rules, bridges = (names.index(f"policy {each}: write") for each in ("rules", "bridges"))
    networks = [names.index(name) for name in names if name.startswith("network")]
    starts = [names.index(name) for name in names if name.endswith(": start")][1:]  # the engine's
    assert rules < min(networks)
    assert max(networks) < bridges < min(starts)


def test_a_policy_rule_that_is_gone_or_strange_is_written_again():
    plan = edited_plan(shape="tiered")
    facts = satisfied(plan)
    for index, line in enumerate(facts.rules):
        if line.startswith("-A "):
            less = (*facts.rules[:index], *facts.rules[index + 1 :])
            assert step_names(plan, replace(facts, rules=less)) == ["policy rules: write"]
    chain = policy.expected_chains(plan, facts.rules)[0].chain
    more = (*facts.rules, f"-A {chain} -j ACCEPT")
    assert step_names(plan, replace(facts, rules=more)) == ["policy rules: write"]
    fewer = replace(facts, filtered=frozenset(list(facts.filtered)[1:]))
    assert step_names(plan, fewer) == ["policy bridges: write"]


def test_without_a_policy_its_chains_go_and_the_bridges_are_as_any():
    plan = replace(edited_plan(), policy=False)
    facts = satisfied(edited_plan())
    assert step_names(plan, facts) == ["policy rules: write", "policy bridges: write"]
    bare = replace(facts, rules=(":DOCKER-USER - [0:0]",), filtered=frozenset())
    assert step_names(plan, bare) == []
