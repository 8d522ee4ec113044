"""What must be there for a plan in the Docker world, decided from facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.core_cases import WRITTEN, Edit, edited_plan
from tests.support.docker_facts import PREFIX, altered, endpoint, satisfied
from twinstack.compose import policy, steps
from twinstack.compose.facts import DockerFacts
from twinstack.compose.render import base_name
from twinstack.model.plan import Plan
from twinstack.reconcile import diff


def planned(edit: Edit = lambda _written: None, shape: str = "flat") -> Plan:
    return edited_plan(edit, shape)


def names(plan: Plan, facts: DockerFacts) -> list[str]:
    return [change.step.name for change in diff(steps.steps(plan, facts), facts)]


def renewed(*names: str) -> list[str]:
    return [
        *(f"container {PREFIX}-{name}: remove" for name in names),
        *(f"container {PREFIX}-{name}: create" for name in names),
        *(f"container {PREFIX}-{name}: start" for name in names),
    ]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_a_plan_that_is_there_needs_no_step(shape: str):
    plan = planned(shape=shape)
    assert names(plan, satisfied(plan)) == []


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_every_step_of_an_empty_host_has_a_name_of_its_own_and_a_reason(shape: str):
    plan = planned(shape=shape)
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
    plan = planned()
    facts = satisfied(plan)
    gone = replace(facts, containers=facts.containers[1:])
    name = facts.containers[0].replica
    assert names(plan, gone) == renewed(name)[1:]
    assert names(plan, altered(facts, "redis-cache", state="exited")) == renewed("redis-cache")[2:]
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
        assert names(plan, altered(facts, "redis-cache", **values)) == renewed("redis-cache")


def test_a_container_that_has_not_been_started_yet_knows_no_network_and_is_only_started():
    plan = planned()
    endpoints = {"twinstack-main_app": endpoint("", "172.30.0.50")}
    facts = altered(satisfied(plan), "redis-cache", state="created", endpoints=endpoints)
    assert names(plan, facts) == ["container twinstack-main-redis-cache: start"]


def test_what_a_recreation_that_was_cut_short_left_is_removed():
    plan = planned()
    facts = satisfied(plan)
    odd = facts.containers[0].model_copy(update={"name": "0123_twinstack-main-nginx-lb"})
    assert names(plan, replace(facts, containers=(*facts.containers, odd))) == [
        "container 0123_twinstack-main-nginx-lb: remove"
    ]


def test_one_replica_more_or_less_touches_no_other_container():
    plan = planned()

    def replicas(count: int) -> Plan:
        def edit(written: dict[str, Any]) -> None:
            service = written["services"]["product-service"]
            service["replicas"] = count
            service["addresses"] = WRITTEN["services"]["product-service"]["addresses"][:count]

        return planned(edit)

    more, less = replicas(4), replicas(2)
    assert names(more, satisfied(plan)) == [
        "file docker-compose.yml: write",
        "policy rules: write",
        *renewed("product-service-4")[1:],
    ]
    assert names(less, satisfied(plan)) == [
        "container twinstack-main-product-service-3: remove",
        "file docker-compose.yml: write",
        "policy rules: write",
    ]


def test_another_limit_replaces_that_services_containers_alone():
    plan = planned()
    other = planned(lambda w: w["services"]["order-service"]["limits"].update(memory="256M"))
    assert names(other, satisfied(plan)) == [
        "container twinstack-main-order-service: remove",
        "file docker-compose.yml: write",
        *renewed("order-service")[1:],
    ]


def test_another_shape_replaces_every_container_and_network():
    tiered = planned(shape="tiered")
    found = names(tiered, satisfied(planned()))
    removed = [title for title in found if title.endswith(": remove")]
    assert len(removed) == len(tiered.replicas) + 1
    assert removed[-1] == "network twinstack-main_app: remove"


def test_a_network_made_otherwise_is_made_anew_with_the_containers_on_it():
    plan = planned(shape="tiered")
    facts = satisfied(plan)
    odd = tuple(
        network.model_copy(update={"subnet": "172.30.9.0/24"})
        if network.name.endswith("_frontend")
        else network
        for network in facts.networks
    )
    found = names(plan, replace(facts, networks=odd))
    assert found == [
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
    plan = planned(shape="tiered")
    found = names(plan, replace(satisfied(plan), containers=(), connects_later=False))
    assert not any(title.endswith(": attach") for title in found)


def test_an_image_built_from_something_else_is_built_and_what_it_replaced_goes_last():
    plan = planned()
    facts = satisfied(plan)
    other = replace(facts, contexts={**facts.contexts, "nginx-lb": "other"})
    assert names(plan, other) == [
        "image twinstack-main/nginx-lb:latest: build",
        *renewed("nginx-lb"),
        "image twinstack-main/nginx-lb:replaced-nginx-lb: remove",
    ]


def test_another_base_replaces_the_images_made_on_it():
    plan = planned()
    facts = satisfied(plan)
    bases = {role: image for role, image in facts.bases.items() if role != "redis"}
    base = base_name("redis")
    found = names(
        plan, replace(facts, bases=bases, outdated=("twinstack-base-redis:replaced-0123",))
    )
    assert found == [
        f"base {base}: make",
        "image twinstack-main/redis-cache:latest: build",
        *renewed("redis-cache"),
        "image twinstack-main/redis-cache:replaced-redis-cache: remove",
        "image twinstack-base-redis:replaced-0123: remove",
    ]


def test_new_secrets_replace_the_containers_that_hold_the_old_before_they_are_written():
    plan = planned()
    found = names(plan, replace(satisfied(plan), stale=frozenset({"redis-cache"})))
    assert found == [renewed("redis-cache")[0], "secrets: write", *renewed("redis-cache")[1:]]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_the_doors_are_closed_before_anything_runs(shape: str):
    found = names(planned(shape=shape), DockerFacts(engine=True, rules=(":DOCKER-USER - [0:0]",)))
    rules, bridges = (found.index(f"policy {each}: write") for each in ("rules", "bridges"))
    networks = [found.index(each) for each in found if each.startswith("network")]
    starts = [found.index(each) for each in found if each.endswith(": start")][1:]  # the engine's
    assert rules < min(networks)
    assert max(networks) < bridges < min(starts)


def test_a_policy_rule_that_is_gone_or_strange_is_written_anew():
    plan = planned(shape="tiered")
    facts = satisfied(plan)
    for index, line in enumerate(facts.rules):
        if line.startswith("-A "):
            less = (*facts.rules[:index], *facts.rules[index + 1 :])
            assert names(plan, replace(facts, rules=less)) == ["policy rules: write"]
    chain = policy.expected_chains(plan, facts.rules)[0].chain
    more = (*facts.rules, f"-A {chain} -j ACCEPT")
    assert names(plan, replace(facts, rules=more)) == ["policy rules: write"]
    fewer = replace(facts, filtered=frozenset(list(facts.filtered)[1:]))
    assert names(plan, fewer) == ["policy bridges: write"]


def test_without_a_policy_its_chains_go_and_the_bridges_are_as_any():
    plan = replace(planned(), policy=False)
    facts = satisfied(planned())
    assert names(plan, facts) == ["policy rules: write", "policy bridges: write"]
    bare = replace(facts, rules=(":DOCKER-USER - [0:0]",), filtered=frozenset())
    assert names(plan, bare) == []
