"""What must be there for a plan in the Docker world, as a list of steps; pure.

A step knows how it differs from the facts (`difference`) and which commands do the same. The list
is in the order of doing: what is replaced goes before what replaces it, the policy is in force
before anything starts, and images that lost their name go last. `apply` does the steps.
Networks, volumes and containers are created by Compose: one request to the engine is one step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twinstack.compose import image_steps, policy, render
from twinstack.compose.facts import ContainerFacts, DockerFacts, NetworkFacts
from twinstack.compose.image_steps import ABSENT, DockerAct, service_image
from twinstack.model.plan import Attachment, Plan, Replica, Segment
from twinstack.reconcile import Step

_RUNNING = frozenset({"running", "restarting"})
_STARTABLE = frozenset({"created", "exited"})
_REPLACED = "is replaced"


class ReplacedContainer(DockerAct):
    """Remove a container of ours that is not as planned."""

    NAME, COMMANDS = "container {0.label}: remove", ("docker rm --force --volumes {0.label}",)

    def difference(self, facts: DockerFacts) -> str | None:
        current = facts.container(self.label)
        return container_mismatch(self.plan, facts, current) if current else None


class ReplacedNetwork(DockerAct):
    """Remove a network of ours that is not as planned."""

    NAME, COMMANDS = "network {0.label}: remove", ("docker network rm {0.label}",)

    def difference(self, facts: DockerFacts) -> str | None:
        current = facts.network(self.label)
        return network_mismatch(self.plan, current) if current else None


class SecretFiles(DockerAct):
    """Write the secrets that the services read."""

    NAME = "secrets: write"

    def difference(self, facts: DockerFacts) -> str | None:
        stale = ", ".join(sorted(facts.stale))
        return f"missing or wrong for {stale}" if stale else None


class ComposeFile(DockerAct):
    """Write the compose file that Compose reads."""

    NAME = "file {0.label}: write"

    def difference(self, facts: DockerFacts) -> str | None:
        if facts.file is None:
            return ABSENT
        text = render.compose_text(self.plan, context=None)
        return None if facts.file == text else "is not as rendered"


class PolicyChains(DockerAct):
    """Write the chains that enforce the flows, before anything can start."""

    NAME, COMMANDS = "policy {0.label}: write", ("iptables-restore --noflush",)

    def difference(self, facts: DockerFacts) -> str | None:
        return policy.difference(self.plan, facts.rules)


@dataclass(frozen=True, slots=True)
class DockerNetwork(DockerAct):
    """Create a segment's network."""

    segment: Segment
    NAME = "network {0.label}: create"

    @property
    def commands(self) -> tuple[str, ...]:
        segment, internal = self.segment, "--internal " if self.segment.internal else ""
        subnet = f"--subnet {segment.docker_subnet} --gateway {segment.docker_gateway}"
        bridge = f"--opt com.docker.network.bridge.name={segment.docker_bridge}"
        return (f"docker network create {subnet} {bridge} {internal}{self.label}",)

    def difference(self, facts: DockerFacts) -> str | None:
        current = facts.network(self.label)
        if current is None:
            return ABSENT
        return _REPLACED if network_mismatch(self.plan, current) else None


class DataVolume(DockerAct):
    """Create the volume that outlives a replica's container."""

    NAME, COMMANDS = "volume {0.label}: create", ("docker volume create {0.label}",)

    def difference(self, facts: DockerFacts) -> str | None:
        return None if self.label in facts.volumes else ABSENT


@dataclass(frozen=True, slots=True)
class ContainerCreation(DockerAct):
    """Create a replica's container."""

    replica: str
    NAME, COMMANDS = "container {0.label}: create", ("docker compose create {0.replica}",)

    def difference(self, facts: DockerFacts) -> str | None:
        if facts.container(self.label) is None:
            return ABSENT
        return None if kept_container(self.plan, facts, self.label) else _REPLACED


@dataclass(frozen=True, slots=True)
class NetworkConnection(DockerAct):
    """Put a new container on a further network, where the engine could not at its creation."""

    container: str
    attachment: Attachment
    NAME = "container {0.label}: attach"
    COMMANDS = (
        "docker network connect --ip {0.attachment.address} {0.attachment.network} {0.container}",
    )

    def difference(self, facts: DockerFacts) -> str | None:
        if not facts.connects_later or kept_container(self.plan, facts, self.container):
            return None
        return "an engine before API 1.44 puts a new container on one network"


class FilteredBridges(DockerAct):
    """Let the networks' bridges hand their frames to iptables, before anything starts."""

    NAME = "policy {0.label}: write"

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(
            f"ip link set dev {segment.docker_bridge} type bridge "
            f"nf_call_iptables {int(self.plan.policy)}"
            for segment in self.plan.segments
        )

    def difference(self, facts: DockerFacts) -> str | None:
        wrong = []
        for segment in self.plan.segments:
            network = facts.network(segment.docker_network)
            stays = network is not None and not network_mismatch(self.plan, network)
            if (stays and segment.docker_bridge in facts.filtered) != self.plan.policy:
                wrong.append(segment.docker_bridge)
        how = "frames bypass iptables" if self.plan.policy else "frames pass iptables"
        return f"{', '.join(wrong)}: {how}" if wrong else None


class ContainerStart(DockerAct):
    """Start a replica's container."""

    NAME, COMMANDS = "container {0.label}: start", ("docker start {0.label}",)

    def difference(self, facts: DockerFacts) -> str | None:
        current = kept_container(self.plan, facts, self.label)
        state = current.state if current else "created"
        return f"is {state}" if state in _STARTABLE else None


DockerStep = Step[DockerFacts]
#: What `docker.build` does.
BUILDING = (*image_steps.KINDS, SecretFiles)
#: What Compose does.
COMPOSED = (DockerNetwork, DataVolume, ContainerCreation, NetworkConnection, ContainerStart)


def steps(plan: Plan, facts: DockerFacts) -> tuple[DockerStep, ...]:
    """List the plan's steps, with a removal for each object that may be in their way."""
    names = {replica: render.container_name(plan, replica) for replica in plan.replicas}
    stores = (replica for replica in plan.replicas if replica.launch.data)
    return (
        *image_steps.steps(plan),
        *(ReplacedContainer(plan, container.name) for container in facts.containers),
        *(ReplacedNetwork(plan, network.name) for network in facts.networks),
        SecretFiles(plan, ""),
        ComposeFile(plan, "docker-compose.yml"),
        PolicyChains(plan, "rules"),
        *(DockerNetwork(plan, segment.docker_network, segment) for segment in plan.segments),
        *(DataVolume(plan, render.volume_name(plan, store)) for store in stores),
        *(step for replica, name in names.items() for step in _creation(plan, replica, name)),
        FilteredBridges(plan, "bridges"),
        *(ContainerStart(plan, name) for name in names.values()),
        *image_steps.removals(plan, facts),
    )


def network_mismatch(plan: Plan, current: NetworkFacts) -> str | None:
    """Say how a network of ours differs from the plan."""
    for segment in plan.segments:
        if segment.docker_network == current.name:
            break
    else:
        return f"is not of shape {plan.shape}"
    expected = {
        "subnet": str(segment.docker_subnet),
        "gateway": str(segment.docker_gateway),
        "bridge": segment.docker_bridge,
        "mtu": str(plan.mtu),
        "internal": segment.internal,
    }
    wrong = {key: value for key, value in expected.items() if getattr(current, key) != value}
    if not wrong:
        return None
    return ", ".join(
        f"{key} is {getattr(current, key)}, not {value}" for key, value in wrong.items()
    )


def kept_container(plan: Plan, facts: DockerFacts, name: str) -> ContainerFacts | None:
    """Give the container of a name; None for none, and for one that is replaced."""
    current = facts.container(name)
    return None if current and container_mismatch(plan, facts, current) else current


def container_mismatch(plan: Plan, facts: DockerFacts, current: ContainerFacts) -> str | None:
    """Say why a container of ours must be replaced.

    Its whole definition counts: an address is part of it, so another shape replaces all.
    """
    for replica in plan.replicas:
        if render.container_name(plan, replica) == current.name:
            break
    else:
        return "is not of the plan"
    image = service_image(plan, replica)
    built = facts.images.get(image.label)
    if built is None or image.difference(facts):
        return f"image {image.label} is built again"
    if current.image != built.identity:
        return f"runs another image than {image.label}"
    if current.digest != render.definition_digests(plan)[replica.name]:
        return "its definition changed"
    if current.state not in _RUNNING | _STARTABLE:
        return f"is {current.state}"
    limits = replica.limits
    expected = (limits.memory_bytes, int(limits.cpus * 1e9), limits.pids) if limits else (0, 0, 0)
    if (current.memory, current.cpus, current.pids) != expected:
        return "its limits were changed"
    if replica.service in facts.stale:
        return "its secrets are replaced"
    return _endpoint_mismatch(plan, facts, current, replica)


def _endpoint_mismatch(
    plan: Plan, facts: DockerFacts, current: ContainerFacts, replica: Replica
) -> str | None:
    if current.endpoints.keys() != {attachment.network for attachment in replica.attachments}:
        return "is not on its networks"
    for attachment in replica.attachments:
        network = facts.network(attachment.network)
        endpoint = current.endpoints[attachment.network]
        if network is None or network_mismatch(plan, network):
            return f"network {attachment.network} is replaced"
        stale = endpoint.network not in {"", network.identity}
        if stale or endpoint.address != str(attachment.address):
            return f"its address on {attachment.network} is not {attachment.address}"
    return None


def _creation(plan: Plan, replica: Replica, name: str) -> Iterator[DockerStep]:
    """Create a container, then connect it: Compose creates it on its first network by name."""
    yield ContainerCreation(plan, name, replica.name)
    by_segment = sorted(replica.attachments, key=lambda attachment: attachment.segment)
    for attachment in by_segment[1:]:
        yield NetworkConnection(plan, f"{name} to {attachment.network}", name, attachment)
