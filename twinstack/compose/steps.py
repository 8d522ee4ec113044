"""What `docker.up` does, as a list decided from the plan and the facts before any of it is done.

`up_steps` is pure: no step means that all is as planned. The list is what `docker.plan` prints and
what `apply` takes, in this order. Compose makes networks, volumes and containers in one go, each
by a request of its own to the engine: those requests are steps here too, one each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from twinstack.compose import policy
from twinstack.compose.facts import ContainerFacts, Facts, NetworkFacts
from twinstack.compose.render import (
    BASE_PREFIX,
    base_name,
    compose_text,
    container_name,
    definition_digests,
    dockerfile_path,
    image_digest,
    image_name,
    replaced_name,
    volume_name,
)
from twinstack.model.plan import Plan, Replica, Segment
from twinstack.model.runtimes import Role

Act = Literal["start", "make", "fetch", "build", "write", "create", "attach", "remove", "stop"]
Kind = Literal[
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
    "build stage",
    "run files",
    "policy",
]
#: After one of these more can be known: the facts are observed anew and the rest decided again.
PREPARING: frozenset[Kind] = frozenset({"engine", "root trees", "wheelhouse"})
#: What compose does. What stands before these in the list is done before, and the rest between
#: making and starting (the bridges' policy) or after.
BY_COMPOSE: frozenset[tuple[Kind, Act]] = frozenset(
    {
        ("network", "create"),
        ("volume", "create"),
        ("container", "create"),
        ("container", "attach"),
        ("container", "start"),
    }
)
_RUNS = frozenset({"running", "restarting"})
_STARTABLE = frozenset({"created", "exited"})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, why, and the command that it equals. `name` is the object's own."""

    kind: Kind
    name: str
    act: Act
    reason: str = ""
    command: str = ""

    @property
    def title(self) -> str:
        """Name the step; no two of a list have the same title."""
        return f"{self.kind} {self.name}: {self.act}" if self.name else f"{self.kind}: {self.act}"

    @property
    def by_compose(self) -> bool:
        """Say whether compose takes it."""
        return (self.kind, self.act) in BY_COMPOSE


def up_steps(plan: Plan, facts: Facts) -> tuple[Step, ...]:
    """Decide what has to be done for the plan to be there; () when all of it is.

    Without an engine, everything that it would hold is taken as absent.
    """
    prepared = tuple(_preparation(plan, facts))
    images = tuple(_images(plan, facts))
    remade = {step.name for step in images}
    wrong = {one.name: reason for one in facts.networks if (reason := _wrong(plan, one))}
    gone = dict(_replaced_containers(plan, facts, remade, wrong))
    text = compose_text(plan, context=None)
    stale = ", ".join(sorted(facts.stale))
    return (
        *prepared,
        *(step for step in images if step.act != "remove"),
        *(
            Step("container", name, "remove", why, f"docker rm --force --volumes {name}")
            for name, why in gone.items()
        ),
        *(
            Step("network", name, "remove", why, f"docker network rm {name}")
            for name, why in wrong.items()
        ),
        *([Step("secrets", "", "write", f"not there, or not right, for {stale}")] if stale else []),
        *(
            [
                Step(
                    "file",
                    "docker-compose.yml",
                    "write",
                    "is not there" if facts.file is None else "is not as rendered",
                )
            ]
            if facts.file != text
            else []
        ),
        *_rules(plan, facts),
        *_networks(plan, facts, frozenset(wrong)),
        *_volumes(plan, facts),
        *_containers(plan, facts, frozenset(gone)),
        *_bridges(plan, facts, frozenset(wrong)),
        *_starts(plan, facts, frozenset(gone)),
        *_forgotten(plan, facts, remade),
    )


def building(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Choose the steps of `docker.build`: images and secrets, and what they need."""
    kinds = PREPARING | {"base", "image", "secrets"}
    return tuple(step for step in steps if step.kind in kinds and step.act != "remove")


def _preparation(plan: Plan, facts: Facts) -> Iterator[Step]:
    if not facts.engine:
        yield Step("engine", "", "start", "none answers", "dockerd")
    needed = any(
        facts.bases.get(one.role) is None and _of_trees(plan, one.role) for one in plan.replicas
    )
    if needed and not facts.trees:
        yield Step("root trees", "", "make", "a base needs them", "mmdebstrap")
    if not facts.wheelhouse:
        yield Step("wheelhouse", "", "fetch", "is not whole, or its list changed", "pip download")


def _images(plan: Plan, facts: Facts) -> Iterator[Step]:
    for role in sorted({one.role for one in plan.replicas}):
        if facts.bases.get(role) is None:
            name = base_name(role) if _of_trees(plan, role) else dict(plan.bases)[role]
            how = "tar | docker import" if _of_trees(plan, role) else f"docker pull {name}"
            yield Step("base", name, "make", "is not there, or of other packages", how)
    for service, replica in _services(plan).items():
        name, base = image_name(plan, service), facts.bases.get(replica.role)
        there = facts.images.get(service)
        if there is None:
            why = "is not there"
        elif base is None:
            why = "its base is made anew"
        elif service not in facts.contexts:
            why = "what it is built from is not there yet"
        elif there.digest != image_digest(facts.contexts[service], base):
            why = "what it is built from changed"
        else:
            continue
        how = f"docker build --file {dockerfile_path(service)} --tag {name} ."
        yield Step("image", name, "build", why, how)


def _replaced_containers(
    plan: Plan, facts: Facts, remade: set[str], wrong: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Name our containers that are in the way of the plan, with what is wrong with each.

    The whole of a definition counts: an address is part of it, so another shape replaces all.
    """
    wanted = {container_name(plan, one): one for one in plan.replicas}
    digests = definition_digests(plan)
    networks = {one.name: one for one in facts.networks}
    for there in facts.containers:
        replica = wanted.get(there.name)
        if replica is None:
            yield there.name, "is not of the plan"
        elif why := _difference(plan, facts, there, replica, remade, digests, networks, wrong):
            yield there.name, why


def _difference(
    plan: Plan,
    facts: Facts,
    there: ContainerFacts,
    replica: Replica,
    remade: set[str],
    digests: Mapping[str, str],
    networks: Mapping[str, NetworkFacts],
    wrong: Mapping[str, str],
) -> str | None:
    image = image_name(plan, replica.service)
    built = facts.images.get(replica.service)
    if image in remade:
        return f"image {image} is built anew"
    if built is None or there.image != built.identity:
        return f"runs another image than {image}"
    if there.digest != digests[replica.name]:
        return "its definition changed"
    if there.state not in _RUNS | _STARTABLE:
        return f"is {there.state}"
    limits = replica.limits
    expected = (limits.memory_bytes, int(limits.cpus * 1e9), limits.pids) if limits else (0, 0, 0)
    if (there.memory, there.cpus, there.pids) != expected:
        return "its limits were changed"
    if set(there.attached) != {one.network for one in replica.attachments}:
        return "it is not on the networks that it should be on"
    for one in replica.attachments:
        network, attached = networks.get(one.network), there.attached[one.network]
        if network is None or one.network in wrong:
            return f"network {one.network} is made anew"
        if attached.network not in {"", network.identity} or attached.address != str(one.address):
            return f"its address on {one.network} is not {one.address}"
    return "its secrets are made anew" if replica.service in facts.stale else None


def _wrong(plan: Plan, there: NetworkFacts) -> str | None:
    segment = next((one for one in plan.segments if one.docker_network == there.name), None)
    if segment is None:
        return f"is not of shape {plan.shape}"
    wanted = (
        str(segment.docker_subnet),
        str(segment.docker_gateway),
        segment.docker_bridge,
        str(plan.mtu),
        _way_out(segment.internal),
    )
    found = (there.subnet, there.gateway, there.bridge, there.mtu, _way_out(there.internal))
    return None if found == wanted else f"is {' '.join(found)}, not {' '.join(wanted)}"


def _way_out(internal: bool) -> str:
    return "internal" if internal else "with a way out"


def _rules(plan: Plan, facts: Facts) -> Iterator[Step]:
    """Enforce the flows before anything runs: a container starts behind closed doors."""
    if reason := policy.difference(plan, facts.rules):
        yield Step("policy", "rules", "write", reason, "iptables-restore --noflush")


def _bridges(plan: Plan, facts: Facts, removed: frozenset[str]) -> Iterator[Step]:
    """Let the networks' bridges hand frames to iptables: when they are there, before any start."""
    there = {one.name for one in facts.networks} - removed
    wrong = [
        one.docker_bridge
        for one in plan.segments
        if (one.docker_bridge in facts.filtered and one.docker_network in there) != plan.policy
    ]
    if wrong:
        command = "; ".join(
            f"ip link set dev {one} type bridge nf_call_iptables {int(plan.policy)}"
            for one in wrong
        )
        why = "frames pass no iptables" if plan.policy else "frames pass iptables"
        yield Step("policy", "bridges", "write", f"{', '.join(wrong)}: {why}", command)


def _networks(plan: Plan, facts: Facts, removed: frozenset[str]) -> Iterator[Step]:
    there = {one.name for one in facts.networks} - removed
    for segment in plan.segments:
        if segment.docker_network not in there:
            why = "is made anew" if segment.docker_network in removed else "is not there"
            yield Step("network", segment.docker_network, "create", why, _network_command(segment))


def _network_command(segment: Segment) -> str:
    return (
        f"docker network create --subnet {segment.docker_subnet} --gateway "
        f"{segment.docker_gateway} --opt com.docker.network.bridge.name={segment.docker_bridge} "
        f"{'--internal ' if segment.internal else ''}{segment.docker_network}"
    )


def _volumes(plan: Plan, facts: Facts) -> Iterator[Step]:
    for replica in plan.replicas:
        name = volume_name(plan, replica)
        if replica.launch.data and name not in facts.volumes:
            command = f"docker volume create {name}"
            yield Step("volume", name, "create", "is not there", command)


def _containers(plan: Plan, facts: Facts, removed: frozenset[str]) -> Iterator[Step]:
    there = {one.name: one for one in facts.containers if one.name not in removed}
    for replica in plan.replicas:
        name = container_name(plan, replica)
        if name in there:
            continue
        why = "is made anew" if name in removed else "is not there"
        yield Step("container", name, "create", why, f"docker compose create {replica.name}")
        if facts.joins_later:  # compose creates it on the first by name, and then adds the rest
            for one in sorted(replica.attachments, key=lambda one: one.segment)[1:]:
                command = f"docker network connect --ip {one.address} {one.network} {name}"
                why = "an engine before API 1.44 puts a new container on one network"
                yield Step("container", f"{name} to {one.network}", "attach", why, command)


def _starts(plan: Plan, facts: Facts, removed: frozenset[str]) -> Iterator[Step]:
    there = {one.name: one for one in facts.containers if one.name not in removed}
    for replica in plan.replicas:
        name = container_name(plan, replica)
        state = there[name].state if name in there else "created"
        if state in _STARTABLE:
            yield Step("container", name, "start", f"is {state}", f"docker start {name}")


def _forgotten(plan: Plan, facts: Facts, remade: set[str]) -> Iterator[Step]:
    """Images that lost their name to a newer build: by the end nothing of ours runs on them."""
    lost = [
        replaced_name(image_name(plan, service), image.identity)
        for service, image in facts.images.items()
        if image_name(plan, service) in remade
    ]
    tags = sorted({*facts.replaced, *lost, *facts.outdated})
    for tag in sorted(tags, key=lambda tag: tag.startswith(BASE_PREFIX)):
        yield Step("image", tag, "remove", "was replaced", f"docker rmi {tag}")


def _services(plan: Plan) -> dict[str, Replica]:
    return {one.service: one for one in plan.replicas if one.number == 1}


def _of_trees(plan: Plan, role: Role) -> bool:
    return dict(plan.bases).get(role, BASE_PREFIX).startswith(BASE_PREFIX)
