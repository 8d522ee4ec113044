"""What `docker.up`, `docker.down` and `docker.clean` do, decided from facts: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.pure.namespaces.test_rules import restored
from tests.support.core_cases import WRITTEN, Edit, edited_plan
from tests.support.policy_cases import generated
from twinstack.compose import policy
from twinstack.compose.facts import (
    Attached,
    ContainerFacts,
    Facts,
    Holding,
    ImageFacts,
    NetworkFacts,
)
from twinstack.compose.removals import clean_steps, down_steps
from twinstack.compose.render import (
    base_name,
    compose_text,
    container_name,
    definition_digests,
    image_digest,
    volume_name,
)
from twinstack.compose.step_proxy import title_of
from twinstack.compose.steps import building, up_steps
from twinstack.model.plan import Plan, Replica, resolve
from twinstack.model.topology_file import parse

PREFIX = "twinstack-main"


def planned(edit: Edit = lambda _written: None, shape: str = "flat") -> Plan:
    return edited_plan(edit, shape)


def satisfied(plan: Plan) -> Facts:
    """Give the facts of a host on which the plan has been brought about."""
    bases: dict[str, str] = {one.role: f"sha256:base-{one.role}" for one in plan.replicas}
    contexts = {one.service: f"context-{one.service}" for one in plan.replicas}
    digests = definition_digests(plan)

    def container(replica: Replica) -> ContainerFacts:
        limits = replica.limits
        assert limits is not None
        return ContainerFacts(
            name=container_name(plan, replica),
            replica=replica.name,
            digest=digests[replica.name],
            image=f"sha256:{replica.service}",
            state="running",
            memory=limits.memory_bytes,
            cpus=int(limits.cpus * 1e9),
            pids=limits.pids,
            attached={
                one.network: Attached(f"id-{one.network}", str(one.address))
                for one in replica.attachments
            },
        )

    return Facts(
        engine=True,
        trees=True,
        wheelhouse=True,
        bases=bases,
        contexts=contexts,
        images={
            one.service: ImageFacts(
                f"sha256:{one.service}", image_digest(contexts[one.service], bases[one.role])
            )
            for one in plan.replicas
        },
        file=compose_text(plan, context=None),
        containers=tuple(container(one) for one in plan.replicas),
        networks=tuple(
            NetworkFacts(
                f"id-{one.docker_network}",
                one.docker_network,
                str(one.docker_subnet),
                str(one.docker_gateway),
                one.docker_bridge,
                str(plan.mtu),
                one.internal,
            )
            for one in plan.segments
        ),
        volumes=frozenset(volume_name(plan, one) for one in plan.replicas if one.launch.data),
        rules=enforced(plan),
        filtered=frozenset(one.docker_bridge for one in plan.segments),
    )


def enforced(plan: Plan, before: tuple[str, ...] = (":DOCKER-USER - [0:0]",)) -> tuple[str, ...]:
    """Give the filter table of a host on which the plan's flows are enforced."""
    hooks = policy.wanted(plan, before)
    return (
        *before,
        *(f":{hook.chain} - [0:0]" for hook in hooks),
        *(line for hook in hooks for line in (*([hook.jump] if hook.jump else []), *hook.lines)),
    )


def titles(plan: Plan, facts: Facts) -> list[str]:
    return [step.title for step in up_steps(plan, facts)]


def changed(facts: Facts, name: str, **values: Any) -> Facts:
    """Change what is said of one container."""
    return replace(
        facts,
        containers=tuple(
            replace(one, **values) if one.name == f"{PREFIX}-{name}" else one
            for one in facts.containers
        ),
    )


def renewed(*names: str) -> list[str]:
    return [
        *(f"container {PREFIX}-{name}: remove" for name in names),
        *(f"container {PREFIX}-{name}: create" for name in names),
        *(f"container {PREFIX}-{name}: start" for name in names),
    ]


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_a_plan_that_is_there_needs_no_step(shape: str):
    plan = planned(shape=shape)
    assert titles(plan, satisfied(plan)) == []


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_every_step_of_an_empty_host_has_a_title_of_its_own_and_a_reason(shape: str):
    steps = up_steps(planned(shape=shape), replace(Facts(), stale=frozenset({"redis-cache"})))
    assert len({step.title for step in steps}) == len(steps)
    assert all(step.reason for step in steps)
    kinds = {step.kind for step in steps}
    assert kinds == {
        "engine",
        "root trees",
        "wheelhouse",
        "base",
        "image",
        "secrets",
        "file",
        "network",
        "volume",
        "container",
        "policy",
    }
    assert {step.kind for step in building(steps)} == kinds - {
        "file",
        "network",
        "volume",
        "container",
        "policy",
    }


def test_a_container_that_is_gone_stopped_or_altered_is_the_only_one_touched():
    plan = planned()
    facts = satisfied(plan)
    gone = replace(facts, containers=facts.containers[1:])
    name = facts.containers[0].replica
    assert titles(plan, gone) == renewed(name)[1:]
    assert titles(plan, changed(facts, "redis-cache", state="exited")) == renewed("redis-cache")[2:]
    alterations: tuple[dict[str, Any], ...] = (
        {"state": "paused"},
        {"digest": None},
        {"memory": 1},
        {"cpus": 1},
        {"pids": 0},
        {"image": "sha256:other"},
        {"attached": {}},
        {"attached": {"twinstack-main_app": Attached("id-twinstack-main_app", "172.30.0.99")}},
        {"attached": {"twinstack-main_app": Attached("id-of-a-former", "172.30.0.50")}},
    )
    for values in alterations:
        assert titles(plan, changed(facts, "redis-cache", **values)) == renewed("redis-cache")


def test_a_container_that_has_not_been_started_yet_knows_no_network_and_is_only_started():
    plan = planned()
    attached = {"twinstack-main_app": Attached("", "172.30.0.50")}
    facts = changed(satisfied(plan), "redis-cache", state="created", attached=attached)
    assert titles(plan, facts) == ["container twinstack-main-redis-cache: start"]


def test_what_a_recreation_that_was_cut_short_left_is_removed():
    plan = planned()
    facts = satisfied(plan)
    odd = replace(facts.containers[0], name="0123_twinstack-main-nginx-lb")
    assert titles(plan, replace(facts, containers=(*facts.containers, odd))) == [
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
    assert titles(more, satisfied(plan)) == [
        "file docker-compose.yml: write",
        "policy rules: write",
        *renewed("product-service-4")[1:],
    ]
    assert titles(less, satisfied(plan)) == [
        "container twinstack-main-product-service-3: remove",
        "file docker-compose.yml: write",
        "policy rules: write",
    ]


def test_another_limit_replaces_that_services_containers_alone():
    plan = planned()
    other = planned(lambda w: w["services"]["order-service"]["limits"].update(memory="256M"))
    assert titles(other, satisfied(plan)) == [
        "container twinstack-main-order-service: remove",
        "file docker-compose.yml: write",
        *renewed("order-service")[1:],
    ]


def test_another_shape_replaces_every_container_and_network():
    tiered = planned(shape="tiered")
    found = titles(tiered, satisfied(planned()))
    removed = [title for title in found if title.endswith(": remove")]
    assert len(removed) == len(tiered.replicas) + 1
    assert removed[-1] == "network twinstack-main_app: remove"


def test_a_network_made_otherwise_is_made_anew_with_the_containers_on_it():
    plan = planned(shape="tiered")
    facts = satisfied(plan)
    odd = tuple(
        replace(one, subnet="172.30.9.0/24") if one.name.endswith("_frontend") else one
        for one in facts.networks
    )
    found = titles(plan, replace(facts, networks=odd))
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


def test_an_engine_that_joins_at_once_has_no_step_for_further_networks():
    plan = planned(shape="tiered")
    found = titles(plan, replace(satisfied(plan), containers=(), joins_later=False))
    assert not any(title.endswith(": attach") for title in found)


def test_an_image_built_from_something_else_is_built_and_what_it_replaced_goes_last():
    plan = planned()
    facts = satisfied(plan)
    other = replace(facts, contexts={**facts.contexts, "nginx-lb": "other"})
    assert titles(plan, other) == [
        "image twinstack-main/nginx-lb:latest: build",
        *renewed("nginx-lb"),
        "image twinstack-main/nginx-lb:replaced-nginx-lb: remove",
    ]


def test_another_base_replaces_the_images_made_on_it():
    plan = planned()
    facts = satisfied(plan)
    bases = {role: image for role, image in facts.bases.items() if role != "redis"}
    base = base_name("redis")
    found = titles(
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
    found = titles(plan, replace(satisfied(plan), stale=frozenset({"redis-cache"})))
    assert found == [renewed("redis-cache")[0], "secrets: write", *renewed("redis-cache")[1:]]


def test_down_keeps_data_and_clean_asks_the_engine_when_it_is_empty():
    holding = Holding(
        containers=("c",),
        networks=("n",),
        volumes=("v",),
        images=("twinstack-main/i:latest",),
        stages=("sha256:s",),
        bases=("twinstack-base-nginx:host",),
        rendered=("/f",),
        kept=("/s",),
        run=("/r",),
        engine="/e",
    )
    down = ["container c", "network n", "file /f", "run files /r"]
    assert [step.title for step in down_steps(holding)] == [f"{one}: remove" for one in down]
    assert [step.title for step in clean_steps(holding)] == [
        "container c: remove",
        "network n: remove",
        "volume v: remove",
        "image twinstack-main/i:latest: remove",
        "build stage sha256:s: remove",
        "image twinstack-base-nginx:host: remove",
        "engine /e: stop",
        "secrets /s: remove",
        "file /f: remove",
        "run files /r: remove",
    ]
    assert down_steps(Holding()) == clean_steps(Holding()) == ()


@pytest.mark.parametrize(
    ("method", "target", "body", "title"),
    [
        ("POST", "/v1.41/networks/create", {"Name": "n"}, "network n: create"),
        ("POST", "/v1.41/volumes/create", {"Name": "v"}, "volume v: create"),
        ("POST", "/v1.41/containers/create?name=c&platform=", {}, "container c: create"),
        ("POST", "/containers/0123/start", {}, "container c: start"),
        ("POST", "/v1.41/networks/4567/connect", {"Container": "0123"}, "container c to n: attach"),
        ("DELETE", "/v1.41/containers/0123", {}, "compose DELETE /containers/0123"),
    ],
)
def test_what_compose_asks_for_has_the_title_of_its_step(
    method: str, target: str, body: dict[str, str], title: str
):
    assert title_of(method, target, body, {"0123": "c", "4567": "n"}) == title


def test_the_titles_of_the_gate_are_those_of_the_steps():
    steps = up_steps(planned(shape="tiered"), Facts(engine=True))
    for step in steps:
        match step.kind, step.act:
            case "network" | "volume", "create":
                target, body = f"/{step.kind}s/create", {"Name": step.name}
            case "container", "create":
                target, body = f"/containers/create?name={step.name}", {}
            case "container", "start":
                target, body = f"/containers/{step.name}/start", {}
            case "container", "attach":
                container, _, network = step.name.partition(" to ")
                target, body = f"/networks/{network}/connect", {"Container": container}
            case _:
                assert not step.by_compose
                continue
        assert step.by_compose
        assert title_of("POST", target, body, {}) == step.title


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_the_doors_are_closed_before_anything_runs(shape: str):
    found = titles(planned(shape=shape), Facts(engine=True, rules=(":DOCKER-USER - [0:0]",)))
    rules, bridges = (found.index(f"policy {one}: write") for one in ("rules", "bridges"))
    networks = [found.index(one) for one in found if one.startswith("network")]
    starts = [found.index(one) for one in found if one.endswith(": start")][1:]  # the engine's
    assert rules < min(networks)
    assert max(networks) < bridges < min(starts)


def test_a_policy_rule_that_is_gone_or_strange_is_written_anew():
    plan = planned(shape="tiered")
    facts = satisfied(plan)
    for index, line in enumerate(facts.rules):
        if line.startswith("-A "):
            less = (*facts.rules[:index], *facts.rules[index + 1 :])
            assert titles(plan, replace(facts, rules=less)) == ["policy rules: write"]
    chain = policy.wanted(plan, facts.rules)[0].chain
    more = (*facts.rules, f"-A {chain} -j ACCEPT")
    assert titles(plan, replace(facts, rules=more)) == ["policy rules: write"]
    fewer = replace(facts, filtered=frozenset(list(facts.filtered)[1:]))
    assert titles(plan, fewer) == ["policy bridges: write"]


def test_without_a_policy_its_chains_go_and_the_bridges_are_as_any():
    plan = replace(planned(), policy=False)
    facts = satisfied(planned())
    assert titles(plan, facts) == ["policy rules: write", "policy bridges: write"]
    bare = replace(facts, rules=(":DOCKER-USER - [0:0]",), filtered=frozenset())
    assert titles(plan, bare) == []


def test_a_jump_from_where_it_hung_before_docker_made_its_chain_is_moved():
    plan = planned()
    early = enforced(plan, (":FORWARD ACCEPT [0:0]",))
    assert policy.difference(plan, early) is None
    later = (":DOCKER-USER - [0:0]", *early)
    assert "FORWARD" in "".join(policy.texts(plan, later))
    assert [text for text in policy.texts(plan, later) if "-D FORWARD" in text]


def test_from_any_set_of_flows_the_way_to_another_can_be_restored():
    """As iptables-restore would do it: a rule that is deleted by its text must be there."""
    present: tuple[str, ...] = (":DOCKER-USER - [0:0]", "-A DOCKER-USER -j RETURN")
    for seed in range(30):
        plan = replace(resolve(parse(generated(seed)), "flat"), policy=seed % 7 != 3)
        for text in policy.texts(plan, present):
            present = restored({"filter": present}, text)["filter"]
        assert policy.difference(plan, present) is None
    rest = restored({"filter": present}, policy.removal("main", present))["filter"]
    assert rest == (":DOCKER-USER - [0:0]", "-A DOCKER-USER -j RETURN")
