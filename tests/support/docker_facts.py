"""Facts of a host on which a plan has been brought about in Docker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twinstack.compose import policy, steps
from twinstack.compose.facts import (
    ContainerFacts,
    DockerFacts,
    EndpointFacts,
    ImageFacts,
    NetworkFacts,
)
from twinstack.compose.render import (
    compose_text,
    container_name,
    definition_digests,
    image_digest,
    image_name,
    volume_name,
)
from twinstack.model import releases
from twinstack.model.plan import Plan, Replica
from twinstack.reconcile import diff

PREFIX = "twinstack-main"


def satisfied(plan: Plan) -> DockerFacts:
    """Give facts from which no step of the plan differs."""
    bases: dict[str, str] = {
        replica.role: f"sha256:base-{replica.role}" for replica in plan.replicas
    }
    names = {each.name: image_name(plan, each.service, each.version) for each in plan.replicas}
    contexts = {names[each.name]: f"context-{each.service}" for each in plan.replicas}
    return DockerFacts(
        engine=True,
        trees=True,
        wheelhouse=True,
        bases=bases,
        contexts=contexts,
        images={
            names[replica.name]: ImageFacts(
                f"sha256:{replica.service}{replica.version}",
                image_digest(contexts[names[replica.name]], bases[replica.role]),
            )
            for replica in plan.replicas
        },
        versions=tuple(sorted(releases.named(plan.releases))),
        file=compose_text(plan, context=None),
        containers=tuple(_container(plan, replica) for replica in plan.replicas),
        networks=tuple(
            NetworkFacts(
                identity=f"id-{segment.docker_network}",
                name=segment.docker_network,
                subnet=str(segment.docker_subnet),
                gateway=str(segment.docker_gateway),
                bridge=segment.docker_bridge,
                mtu=str(plan.mtu),
                internal=segment.internal,
            )
            for segment in plan.segments
        ),
        volumes=frozenset(
            volume_name(plan, replica) for replica in plan.replicas if replica.launch.data
        ),
        rules=enforced(plan),
        filtered=frozenset(segment.docker_bridge for segment in plan.segments),
    )


def _container(plan: Plan, replica: Replica) -> ContainerFacts:
    limits = replica.limits
    assert limits is not None
    return ContainerFacts(
        name=container_name(plan, replica),
        replica=replica.name,
        digest=definition_digests(plan)[replica.name],
        image=f"sha256:{replica.service}{replica.version}",
        state="running",
        memory=limits.memory_bytes,
        cpus=int(limits.cpus * 1e9),
        pids=limits.pids,
        endpoints={
            attachment.network: endpoint(f"id-{attachment.network}", str(attachment.address))
            for attachment in replica.attachments
        },
    )


def endpoint(network: str, address: str) -> EndpointFacts:
    """Give an endpoint on the network of an id."""
    return EndpointFacts(network=network, address=address)


def enforced(plan: Plan, before: tuple[str, ...] = (":DOCKER-USER - [0:0]",)) -> tuple[str, ...]:
    """Give the filter table of a host on which the plan's flows are enforced."""
    hooks = policy.expected_chains(plan, before)
    return (
        *before,
        *(f":{hook.chain} - [0:0]" for hook in hooks),
        *(line for hook in hooks for line in (*([hook.jump] if hook.jump else []), *hook.lines)),
    )


def altered(facts: DockerFacts, name: str, **values: Any) -> DockerFacts:
    """Change the facts of one container."""
    return replace(
        facts,
        containers=tuple(
            container.model_copy(update=values)
            if container.name == f"{PREFIX}-{name}"
            else container
            for container in facts.containers
        ),
    )


def step_names(plan: Plan, facts: DockerFacts) -> list[str]:
    """Name what `up` would do."""
    return [change.step.name for change in diff(steps.steps(plan, facts), facts)]


def renewed(*names: str) -> list[str]:
    """Name the steps that replace containers."""
    return [
        *(f"container {PREFIX}-{name}: remove" for name in names),
        *(f"container {PREFIX}-{name}: create" for name in names),
        *(f"container {PREFIX}-{name}: start" for name in names),
    ]
