"""What is built before anything runs: bases and images, decided from facts."""

from __future__ import annotations

from dataclasses import replace

from tests.support.core_cases import declared, edited_plan
from tests.support.docker_facts import renewed, satisfied, step_names
from twinstack.compose.facts import DockerFacts
from twinstack.compose.image_steps import steps
from twinstack.compose.render import base_name
from twinstack.model.plan import Plan, resolve
from twinstack.model.releases import ServiceRelease


def test_a_declared_base_is_pulled_and_needs_no_root_tree():
    plan = edited_plan(lambda w: w.update(software={"bases": {"redis": "redis:7"}}))
    commands = {step.name: step.commands for step in steps(plan)}
    assert commands["base redis:7: make"] == ("docker pull redis:7",)
    assert commands[f"base {base_name('nginx')}: make"] == ("tar | docker import",)
    bases: dict[str, str] = {
        each.role: "sha256:1" for each in plan.replicas if each.role != "redis"
    }
    (trees,) = (step for step in steps(plan) if step.name == "root trees: make")
    assert trees.difference(DockerFacts(bases=bases)) is None
    assert trees.difference(DockerFacts()) == "a base needs them"


def test_an_image_built_from_something_else_is_built_and_what_it_replaced_goes_last():
    plan = edited_plan()
    facts = satisfied(plan)
    other = replace(facts, contexts={**facts.contexts, "twinstack-main/nginx-lb:latest": "other"})
    assert step_names(plan, other) == [
        "image twinstack-main/nginx-lb:latest: build",
        *renewed("nginx-lb"),
        "image twinstack-main/nginx-lb:replaced-nginx-lb: remove",
    ]


def test_another_base_replaces_the_images_made_on_it():
    plan = edited_plan()
    facts = satisfied(plan)
    bases = {role: image for role, image in facts.bases.items() if role != "redis"}
    base = base_name("redis")
    found = step_names(
        plan, replace(facts, bases=bases, outdated=("twinstack-base-redis:replaced-0123",))
    )
    assert found == [
        f"base {base}: make",
        "image twinstack-main/redis-cache:latest: build",
        *renewed("redis-cache"),
        "image twinstack-main/redis-cache:replaced-redis-cache: remove",
        "image twinstack-base-redis:replaced-0123: remove",
    ]


NEW, OLD = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
PRODUCT = "twinstack-main/product-service"


def released(*versions: str, before: str = "") -> Plan:
    return resolve(declared(), released=(ServiceRelease("product-service", versions, before),))


def test_a_released_version_is_built_and_replaces_its_replicas_alone():
    plan = released(NEW, "")
    facts = satisfied(edited_plan())
    known = replace(facts, contexts=satisfied(plan).contexts, versions=(NEW,))
    create, *others = renewed("product-service")
    assert step_names(plan, known) == [
        f"image {PRODUCT}:version-{NEW}: build",
        create,
        "file docker-compose.yml: write",
        *others,
    ]


def test_a_version_that_a_rollback_needs_stays_and_any_other_goes():
    plan = released(NEW, before=OLD)
    tags = tuple(f"{PRODUCT}:version-{name}" for name in (NEW, OLD, "0" * 12))
    facts = replace(satisfied(plan), replaced=tags, versions=(NEW, OLD, "0" * 12))
    assert step_names(plan, facts) == [f"image {tags[2]}: remove", f"version {'0' * 12}: remove"]
